// Text to label in Node: node classify.mjs [--precision int8] BUNDLE "a text" ...

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-node";

import { BundleError, Classifier, shown } from "../bundle.mjs";

const USAGE = 'usage: node classify.mjs [--precision fp32|int8] BUNDLE "a text" ...';
const HELP = `${USAGE}

Prints a line a text: label and score. Of a multi-label bundle the labels with a probability above 0.5 (a decision score
above 0), commas between them, "-" for none, and the highest score.`;

function argumentsOf(argv) {
  const { values, positionals } = parseArgs({
    args: argv,
    options: { precision: { type: "string", default: "fp32" }, help: { type: "boolean", short: "h" } },
    allowPositionals: true,
  });
  const [bundle, ...texts] = positionals;
  if (values.help) {
    return { help: true };
  }
  if (bundle === undefined || texts.length === 0) {
    throw new TypeError("expected a bundle and at least one text");
  }
  return { bundle, texts, precision: values.precision };
}

async function main(argv) {
  let wanted;
  try {
    wanted = argumentsOf(argv);
  } catch (error) {
    console.error(`classify: ${error.message}\n${USAGE}`);
    return 2;
  }
  if (wanted.help) {
    console.log(HELP);
    return 0;
  }
  try {
    const classifier = await Classifier.load({
      ort,
      Tokenizer,
      read: (name) => readFile(join(wanted.bundle, name)),
      precision: wanted.precision,
    });
    for (const { labels, score } of await classifier.classify(wanted.texts)) {
      console.log(`${shown(labels)}\t${score.toFixed(4)}`);
    }
    return 0;
  } catch (error) {
    if (!(error instanceof BundleError)) {
      throw error;
    }
    console.error(`classify: ${error.message}`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));

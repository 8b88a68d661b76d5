// Token ids and scores of the texts on standard input (one JSON list), as one JSON document.
//
// node answers.mjs EXAMPLES onnxruntime-node|onnxruntime-web BUNDLE PRECISION; EXAMPLES has the packages beside it.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const [folder, engine, bundle, precision] = process.argv.slice(2);
const require = createRequire(join(resolve(folder), "package.json"));
const ort = require(engine);
const { Tokenizer } = require("@huggingface/tokenizers");
const { Classifier } = await import(pathToFileURL(resolve(folder, "..", "bundle.mjs")));

const read = (name) => readFile(join(bundle, name));
const classifier = await Classifier.load({ ort, Tokenizer, read, precision });
const texts = JSON.parse(await text(process.stdin));
const ids = texts.map((one) => classifier.encode(one));
console.log(JSON.stringify({ ids, scores: await classifier.scores(texts) }));

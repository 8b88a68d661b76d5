// Reads a setfuse bundle and classifies texts with it, in Node and in the browser.
//
// It imports nothing: the engine (onnxruntime-node or onnxruntime-web), the tokenizers package and the way to read a
// file are handed in, so that one module serves both.

const FORMAT_VERSIONS = [1, 2];
const THRESHOLDS = { probabilities: 0.5, decision_scores: 0 }; // above it a label applies, where several may
const BATCH_SIZE = 16;

const SESSION_OPTIONS = {
  logSeverityLevel: 3, // errors; they also arrive as exceptions
  extra: {
    session: {
      x64quantprecision: "1", // without VNNI, sums of 8-bit products overflow unless the engine is told to be exact
      intra_op: { allow_spinning: "0" }, // a waiting thread that spins burns a core between the calls of a service
    },
  },
};

/** Something about the bundle or the request that the user can mend; the message says what. */
export class BundleError extends Error {}

/** Show the labels that apply to a text as `setfuse predict` does: with commas between them, "-" for none. */
export function shown(labels) {
  return labels.join(",") || "-";
}

/** A bundle, loaded: tokenizer and one graph. */
export class Classifier {
  /**
   * Load a bundle.
   *
   * @param {object} parts
   * @param {object} parts.ort The engine's module.
   * @param {Function} parts.Tokenizer The class of "@huggingface/tokenizers".
   * @param {(name: string) => Promise<Uint8Array>} parts.read Reads a file of the bundle; rejects where there is none.
   * @param {string} [parts.precision] "fp32" or "int8".
   * @returns {Promise<Classifier>}
   * @throws {BundleError} The bundle is missing, damaged or of another format, or has no such graph.
   */
  static async load({ ort, Tokenizer, read, precision = "fp32" }) {
    const manifest = checked(parsed(await required(read, "bundle.json"), "bundle.json"));
    const variant = chosen(manifest, precision);
    const { file, bytes } = manifest.tokenizer;
    const definition = parsed(await required(read, file, bytes), file);
    const model = await required(read, variant.file, variant.bytes);
    const tokenizer = await accepted(file, "the tokenizers package", () => new Tokenizer(definition, {}));
    const session = await accepted(variant.file, "the engine", () => ort.InferenceSession.create(model, SESSION_OPTIONS));
    return new Classifier(ort, manifest, variant, tokenizer, session);
  }

  /** Users call Classifier.load. */
  constructor(ort, manifest, variant, tokenizer, session) {
    this.labels = manifest.labels;
    this.multiLabel = manifest.task === "multi-label-classification";
    this.maxLength = manifest.max_length;
    this.prompt = manifest.prompt ?? "";
    this.takesMask = variant.inputs.some((input) => input.name === "attention_mask");
    this.output = variant.outputs.find((output) => output.name in THRESHOLDS).name;
    this.ort = ort;
    this.session = session;
    this.tokenizer = tokenizer;
    [this.before, this.after] = specialTokens(tokenizer);
  }

  /**
   * Give the token ids of a text, special tokens included.
   *
   * The tokenizers package for JavaScript cuts nothing, so the text's own tokens are cut here, before the special ones
   * are put around them: what truncation in tokenizer.json means to the other languages.
   *
   * @param {string} text
   * @returns {number[]} At most maxLength ids.
   */
  encode(text) {
    // A lone surrogate has no UTF-8 form; the other languages see U+FFFD there.
    const { ids } = this.tokenizer.encode((this.prompt + text).toWellFormed(), { add_special_tokens: false });
    const room = this.maxLength - this.before.length - this.after.length;
    return [...this.before, ...ids.slice(0, room), ...this.after];
  }

  /**
   * Give the score of every label for each text.
   *
   * A graph with a mask runs 16 texts of like length at a time, padded to the longest. One without (int8) must never
   * see padding, so it runs text by text.
   *
   * @param {string[]} texts
   * @returns {Promise<number[][]>} One row a text, in the order of labels.
   */
  async scores(texts) {
    const size = this.takesMask ? BATCH_SIZE : 1;
    const ids = texts.map((text) => this.encode(text));
    const order = [...ids.keys()].sort((a, b) => ids[b].length - ids[a].length);
    const rows = new Array(texts.length);
    for (let start = 0; start < order.length; start += size) {
      const batch = order.slice(start, start + size);
      const scores = await this.#run(batch.map((index) => ids[index]));
      batch.forEach((index, position) => { rows[index] = scores[position]; });
    }
    return rows;
  }

  /**
   * Classify texts.
   *
   * @param {string[]} texts
   * @returns {Promise<{label: string, score: number, labels: string[]}[]>} One a text: the label with the highest
   *   score; as labels those that apply: of a multi-label bundle any number, of any other that label alone.
   */
  async classify(texts) {
    const threshold = THRESHOLDS[this.output];
    return (await this.scores(texts)).map((row) => {
      const score = Math.max(...row);
      const label = this.labels[row.indexOf(score)];
      const labels = this.multiLabel ? this.labels.filter((_, column) => row[column] > threshold) : [label];
      return { label, score, labels };
    });
  }

  async #run(batch) {
    const length = Math.max(...batch.map((ids) => ids.length));
    const shape = [batch.length, length];
    const ids = new BigInt64Array(batch.length * length); // 0 where it is padded: any id will do, the mask hides it
    const mask = new BigInt64Array(batch.length * length);
    batch.forEach((row, index) => {
      ids.set(row.map(BigInt), index * length);
      mask.fill(1n, index * length, index * length + row.length);
    });
    const feeds = { input_ids: new this.ort.Tensor("int64", ids, shape) };
    if (this.takesMask) {
      feeds.attention_mask = new this.ort.Tensor("int64", mask, shape);
    }
    const { [this.output]: scores } = await this.session.run(feeds, [this.output]);
    const width = this.labels.length;
    return batch.map((_, index) => Array.from(scores.data.subarray(index * width, (index + 1) * width)));
  }
}

function checked(manifest) {
  const version = manifest?.format_version;
  if (!FORMAT_VERSIONS.includes(version)) {
    throw new BundleError(
      `bundle.json: expected format_version ${FORMAT_VERSIONS.join(" or ")}, found ${JSON.stringify(version)}; ` +
        "export the bundle again, or take the example of the release that wrote it",
    );
  }
  for (const name of ["labels", "max_length", "tokenizer", "variants"]) {
    if (!(name in manifest)) {
      throw new BundleError(`bundle.json: expected the key ${name}, found none; export the bundle again`);
    }
  }
  return manifest;
}

function chosen(manifest, precision) {
  const found = manifest.variants.find((variant) => variant.precision === precision && variant.target === "cpu");
  if (!found) {
    const has = manifest.variants.map((variant) => `${variant.precision}/${variant.target}`).join(", ") || "none";
    throw new BundleError(`bundle.json: expected a ${precision}/cpu graph, found ${has}; export it, or ask for another`);
  }
  return found;
}

/** Find out which ids the tokenizer puts before and after a text's own. */
function specialTokens(tokenizer) {
  const own = tokenizer.encode("a", { add_special_tokens: false }).ids;
  const all = tokenizer.encode("a").ids;
  const start = all.indexOf(own[0]);
  return [all.slice(0, start), all.slice(start + own.length)];
}

async function required(read, name, bytes) {
  let data;
  try {
    data = await read(name);
  } catch (error) {
    throw new BundleError(`${name}: expected a file of the bundle, but it cannot be read (${error.message})`);
  }
  if (bytes !== undefined && data.length !== bytes) {
    throw new BundleError(`${name}: expected ${bytes} bytes, found ${data.length}; export the bundle again`);
  }
  return data;
}

async function accepted(name, reader, read) {
  try {
    return await read();
  } catch (error) {
    throw new BundleError(`${name}: ${reader} refuses it (${error.message}); export the bundle again`);
  }
}

function parsed(data, name) {
  try {
    return JSON.parse(new TextDecoder().decode(data));
  } catch (error) {
    throw new BundleError(`${name}: expected JSON, found damage (${error.message}); export the bundle again`);
  }
}

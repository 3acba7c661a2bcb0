/** What a folder holds that nobody wants to lose, and the file that says so. */
export interface Contents {
  readonly kind: 'run' | 'adapter' | 'model' | 'study';
  readonly name: string;
}

const adapterFile = /^(adapter_config\.json|adapter_model\.(safetensors|bin)|adapters\.safetensors)$/;
const weightsFile = /\.(safetensors|bin|pt|pth|gguf|h5|msgpack|onnx)$|\.index\.json$/;
/** metrics.jsonl without run.json is that of a run which was not saved. */
const runFile = /^(run\.json|metrics\.jsonl|checkpoint-\d+|events\.out\.tfevents\..+)$/;
const studyFile = /^(table\.json|spectrum\.json)$/;
/** Files beside the weights, which mean something else beside other weights. */
const companionFile = new RegExp(
  `^(${[
    'config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab',
    'preprocessor_config|processor_config|chat_template',
  ].join('|')})\\.(json|jinja)$|^(merges\\.txt|vocab\\.txt|tokenizer\\.model)$`,
);

/** What the names of a folder's files say that it holds; undefined where it holds none of it. */
export function contentsOf(names: readonly string[]): Contents | undefined {
  const kinds = [
    ['run', (name: string) => name === 'run.json'],
    ['adapter', (name: string) => adapterFile.test(name)],
    ['model', (name: string) => name === 'config.json' || weightsFile.test(name)],
    ['study', (name: string) => studyFile.test(name)],
    ['run', (name: string) => runFile.test(name)],
  ] as const;
  for (const [kind, isOne] of kinds) {
    const name = names.find(isOne);
    if (name !== undefined) return { kind, name };
  }
  return undefined;
}

/** Whether a file belongs to an adapter or a model, so that it goes where another one takes its place. */
export function isOutputFile(name: string): boolean {
  return [adapterFile, weightsFile, companionFile].some((pattern) => pattern.test(name));
}

/** Whether a file or a folder belongs to a run: its record, its metrics, its checkpoints, its report. */
export function isRunFile(name: string): boolean {
  // A report alone does not say that there is a run: studies have one, too.
  return runFile.test(name) || name === 'report.html';
}

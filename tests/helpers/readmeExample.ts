/** What stands in the README's example for a model and data that a test has at hand. */
export interface ExampleInputs {
  readonly model: string;
  readonly data: string;
  readonly output: string;
  readonly steps: number;
}

/** The README's example of the library, as it is printed. */
export function exampleOf(readme: string): string {
  const [, code] = /^```ts\n(import \{ fineTune, loadModel \} from 'lowrank';\n[\s\S]*?)^```/m.exec(readme) ?? [];
  if (code === undefined) throw new Error('the README has no example that begins with fineTune and loadModel');
  return code;
}

/** The same over other inputs; throws where the README does not name what is to be replaced. */
export function exampleWith(readme: string, { model, data, output, steps }: ExampleInputs): string {
  const replace = (code: string, found: RegExp, by: string): string => {
    if (!found.test(code)) throw new Error(`the README's example does not match ${found}`);
    return code.replace(found, by);
  };
  let code = exampleOf(readme);
  code = replace(code, /loadModel\('[^']+'/, `loadModel(${JSON.stringify(model)}`);
  code = replace(code, /data: '[^']+'/, `data: ${JSON.stringify(data)}`);
  code = replace(code, /\.save\('[^']+'\)/, `.save(${JSON.stringify(output)})`);
  return replace(code, /steps: \d+/, `steps: ${steps}`);
}

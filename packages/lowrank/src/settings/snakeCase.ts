/** learningRate, learning-rate, learning_rate → learning_rate: how configuration files name settings. */
export function snakeCase(name: string): string {
  return name.replaceAll('-', '_').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

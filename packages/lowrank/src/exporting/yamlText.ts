/** A value as YAML, numbers in a form that every reader takes for numbers. */
export async function yamlText(value: object): Promise<string> {
  const { stringify } = await import('yaml');
  // PyYAML reads 1e-4 as a text: it wants a point.
  return stringify(value).replaceAll(/: (-?\d+)(e-?\d+)$/gm, ': $1.0$2');
}

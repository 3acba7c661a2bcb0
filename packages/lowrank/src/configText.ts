/**
 * The text of a `config.json` that is made of another one. Numbers that the other's text writes with a point keep it:
 * transformers takes no `1` where a field is a float (`initializer_factor` of SigLIP).
 */
export function configText(config: object, origin: string): string {
  const pointed = new Set(
    [...origin.matchAll(/"([^"\\]+)"\s*:\s*(-?\d+)\.0+(?=\s*[,}\n])/g)].map(([, key, number]) => `"${key}": ${number}`),
  );
  const text = JSON.stringify(config, null, 2).replaceAll(/"[^"\\]+": -?\d+(?=,?$)/gm, (entry) =>
    pointed.has(entry) ? `${entry}.0` : entry,
  );
  return `${text}\n`;
}

// Rows of the tables of keys in docs/folders.md.

/** @param {[string, { use: string, why: string }]} entry */
export function rowOf([key, { use, why }]) {
  return [code(key), use, why];
}

/** @param {string} text */
export function code(text) {
  return text === '' ? '' : `\`${text}\``;
}

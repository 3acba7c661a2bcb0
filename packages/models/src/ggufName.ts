/** Whether a name or an address is that of a GGUF file. */
export const isGgufName = (name: string): boolean => /\.gguf$/i.test(name.replace(/[?#].*$/, ''));

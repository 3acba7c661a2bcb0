/** Okabe and Ito's colours, which people with any colour vision can tell apart. */
export const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7a7a7a', '#000000'] as const;
export const [blue, vermilion, green] = colors;
export const ink = '#33414e';
export const strong = '#1b2733';
export const paper = '#ffffff';
export const grid = '#e8ecf0';
export const frame = '#6e7079';

/** What stands for each colour of a chart where the reader prefers dark. */
export const inTheDark: Readonly<Record<string, string>> = {
  [paper]: '#12181f',
  [strong]: '#f0f4f8',
  [ink]: '#ccd6e0',
  [grid]: '#28323c',
  [frame]: '#8b96a1',
  '#b5c0ca': '#4a5762',
  [blue]: '#4c9fe8',
  [vermilion]: '#f0793a',
  [green]: '#2fc196',
  '#cc79a7': '#dd92bb',
  '#e69f00': '#f0b232',
  '#56b4e9': '#92d4fb',
  '#7a7a7a': '#9aa3ab',
  '#000000': '#ffffff',
};

/**
 * Rules that give charts their dark colours. Charts carry the light ones as attributes, which every viewer of SVG
 * understands; a browser puts these rules above them.
 */
export function darkRules(): string {
  const rules = Object.entries(inTheDark).map(
    ([light, dark]) => `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`,
  );
  return `@media (prefers-color-scheme:dark){${rules.join('')}}`;
}

import { describe, expect, it } from 'vitest';
import { colors, blue, darkRules, frame, green, ink, inTheDark, paper, strong, vermilion } from './theme.js';

/** WCAG's contrast of two colours: 1 to 21. */
function contrast(a: string, b: string): number {
  const luminance = (color: string): number => {
    const parts = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255);
    const [red = 0, greenPart = 0, bluePart = 0] = parts.map((part) =>
      part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * red + 0.7152 * greenPart + 0.0722 * bluePart;
  };
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

const dark = (color: string): string => inTheDark[color] ?? color;

describe('colours of charts', () => {
  it('can be read on their ground, in the light and in the dark', () => {
    for (const text of [ink, strong]) {
      expect(contrast(text, paper)).toBeGreaterThan(7);
      expect(contrast(dark(text), dark(paper))).toBeGreaterThan(7);
    }
    for (const line of [blue, vermilion, green, frame]) expect(contrast(line, paper)).toBeGreaterThan(3);
    for (const line of [...colors, frame]) expect(contrast(dark(line), dark(paper))).toBeGreaterThan(3);
  });

  it('have a rule in the dark each, for fills and for lines', () => {
    const rules = darkRules();
    expect(rules).toMatch(/^@media \(prefers-color-scheme:dark\)\{.*\}$/);
    for (const color of [...colors, ink, paper])
      expect(rules).toContain(`[fill="${color}"]{fill:${dark(color)}}[stroke="${color}"]{stroke:${dark(color)}}`);
    // No two of them become one.
    expect(new Set(Object.values(inTheDark)).size).toBeGreaterThanOrEqual(Object.keys(inTheDark).length - 1);
  });
});

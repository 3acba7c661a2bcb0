import { escapeMarkup } from '../markup.js';
import { colors, darkRules, ink, paper } from './theme.js';

export const fontSize = 12;

export function colorAt(index: number): string {
  return colors[index % colors.length] ?? ink;
}

/** About the width of a text in pixels, rather too wide: there is no font to measure it with. */
export function textWidth(text: string, size: number = fontSize): number {
  return 0.58 * size * text.length;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Stroke {
  readonly color: string;
  readonly width?: number;
  /** Lengths of dashes and gaps. */
  readonly dash?: string;
  readonly opacity?: number;
}

/** Attributes that are undefined are left out; numbers are rounded to hundredths of a pixel. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number | undefined>>,
  ...children: readonly string[]
): string {
  const written = Object.entries(attributes).flatMap(([key, value]) => {
    if (value === undefined) return [];
    const text = typeof value === 'number' ? String(Math.round(value * 100) / 100) : escapeMarkup(value);
    return [` ${key}="${text}"`];
  });
  return `<${name}${written.join('')}>${children.join('')}</${name}>`;
}

export interface SvgHead {
  readonly width: number;
  readonly height: number;
  /** What the chart shows, to those who do not see it. */
  readonly label: string;
  /** Of a page that has the rules for the dark already. Default: false. */
  readonly isInPage?: boolean;
}

/** A chart as SVG text: on white, and on a dark ground in browsers of those who prefer it. */
export function svgDocument({ width, height, label, isInPage = false }: SvgHead, children: readonly string[]): string {
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: 'img',
    'aria-label': label,
    'font-family': 'sans-serif',
    'font-size': fontSize,
    fill: ink,
  };
  const style = isInPage ? [] : [`<style>${darkRules()}</style>`];
  return element('svg', attributes, ...style, element('rect', { width, height, fill: paper }), ...children);
}

/** Moves what it holds. */
export function group({ x, y }: Point, children: readonly string[]): string {
  return element('g', { transform: `translate(${x} ${y})` }, ...children);
}

export interface TextStyle {
  /** The side of the text that lies at the point. Default: start. */
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly size?: number;
  readonly weight?: 'bold';
  readonly color?: string;
  /** In degrees, around the point. */
  readonly rotate?: number;
}

/** A line of text whose middle has the height of the point. */
export function textAt({ x, y }: Point, text: string, style: TextStyle = {}): string {
  const attributes = {
    x,
    y,
    // As `dominant-baseline: central`, which not every viewer knows.
    dy: '.35em',
    'text-anchor': style.anchor,
    'font-size': style.size,
    'font-weight': style.weight,
    fill: style.color,
    transform: style.rotate === undefined ? undefined : `rotate(${style.rotate} ${x} ${y})`,
  };
  return element('text', attributes, escapeMarkup(text));
}

export function circle({ x, y }: Point, radius: number, { fill, stroke }: { fill: string; stroke?: Stroke }): string {
  return element('circle', { cx: x, cy: y, r: radius, fill, stroke: stroke?.color, 'stroke-width': stroke?.width });
}

/** Straight lines from point to point; nothing for fewer than two. */
export function lineThrough(points: readonly Point[], { color, width = 1, dash, opacity }: Stroke): string {
  if (points.length < 2) return '';
  const position = ({ x, y }: Point): string => `${Math.round(x * 100) / 100} ${Math.round(y * 100) / 100}`;
  return element('path', {
    d: `M${points.map(position).join('L')}`,
    fill: 'none',
    stroke: color,
    'stroke-width': width,
    'stroke-dasharray': dash,
    'stroke-opacity': opacity,
    'stroke-linejoin': 'round',
  });
}

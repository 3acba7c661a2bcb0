/** A point on a panel, in pixels from its top left corner, with a bar of `reach` above and below it. */
export interface LabelledPoint {
  readonly x: number;
  readonly y: number;
  readonly reach: number;
  readonly text: string;
}

export type LabelPlace = 'right' | 'left' | 'top' | 'bottom';

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const places: readonly LabelPlace[] = ['right', 'left', 'top', 'bottom'];
/** Between a point and its label. */
export const labelDistance = 8;
const lineHeight = 15;
const characterWidth = 7;
const radius = 7;

export interface LabelPanel {
  readonly width: number;
  readonly height: number;
  /** Lines that join points. */
  readonly paths?: readonly (readonly Pick<LabelledPoint, 'x' | 'y'>[])[];
}

/**
 * For each point the first side on which its label is free of points, bars, lines and the labels before it, and within
 * the panel; undefined where none is.
 */
export function labelPlaces(
  points: readonly LabelledPoint[],
  { width, height, paths = [] }: LabelPanel,
): (LabelPlace | undefined)[] {
  const taken: Box[] = paths.flatMap(stretches);
  for (const { x, y, reach } of points) {
    taken.push({ left: x - radius, right: x + radius, top: y - radius, bottom: y + radius });
    taken.push({ left: x - 5, right: x + 5, top: y - reach, bottom: y + reach });
  }
  return points.map((point) => {
    const place = places.find((side) => {
      const box = boxOf(point, side);
      return (
        box.left >= 0 &&
        box.right <= width + 40 &&
        box.top >= 0 &&
        box.bottom <= height &&
        !taken.some((other) => overlap(box, other))
      );
    });
    if (place !== undefined) taken.push(boxOf(point, place));
    return place;
  });
}

/** A line, as small boxes on it. */
function stretches(path: readonly Pick<LabelledPoint, 'x' | 'y'>[]): Box[] {
  return path.slice(1).flatMap((to, at) => {
    const from = path[at] ?? to;
    const count = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) / 4));
    return Array.from({ length: count + 1 }, (_, step) => {
      const [x, y] = [from.x + ((to.x - from.x) * step) / count, from.y + ((to.y - from.y) * step) / count];
      return { left: x - 1, right: x + 1, top: y - 1, bottom: y + 1 };
    });
  });
}

function boxOf({ x, y, reach, text }: LabelledPoint, place: LabelPlace): Box {
  const width = characterWidth * text.length;
  const gap = labelDistance - 0.5;
  switch (place) {
    case 'right':
      return { left: x + gap, right: x + gap + width, top: y - lineHeight / 2, bottom: y + lineHeight / 2 };
    case 'left':
      return { left: x - gap - width, right: x - gap, top: y - lineHeight / 2, bottom: y + lineHeight / 2 };
    case 'top':
      return { left: x - width / 2, right: x + width / 2, top: y - reach - gap - lineHeight, bottom: y - reach - gap };
    case 'bottom':
      return { left: x - width / 2, right: x + width / 2, top: y + reach + gap, bottom: y + reach + gap + lineHeight };
  }
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** A figure that is known within bounds. */
export interface Bounds {
  readonly least: number;
  readonly most: number;
}

export const exactly = (value: number): Bounds => ({ least: value, most: value });

/** What to expect of a figure: the geometric mean of its bounds, as far from the one as from the other by factors. */
export const middleOf = ({ least, most }: Bounds): number => Math.sqrt(least * most);

export const times = (a: Bounds, b: Bounds): Bounds => ({ least: a.least * b.least, most: a.most * b.most });

/** Of positive figures. */
export const within = (value: number, factor: number): Bounds => ({ least: value / factor, most: value * factor });

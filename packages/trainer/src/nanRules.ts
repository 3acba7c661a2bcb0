/** What becomes of a step whose loss or gradient is NaN or infinite: training stops, or goes on without its batch. */
export const nanRules = ['stop', 'skip'] as const;
/** What happens where a loss or a gradient is not finite: `stop` or `skip`. */
export type NanRule = (typeof nanRules)[number];

/** So many such steps in a row are no single bad batch: training stops then with either rule. */
export const mostNanInRow = 10;

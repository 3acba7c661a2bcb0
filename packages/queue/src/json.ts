/**
 * JSON that keeps the numbers JSON has no words for (NaN, infinities, -0): a diverged loss is NaN on the other machine
 * too.
 *
 * They travel as {"$number": "NaN"}.
 */
export function encodeJson(value: unknown): string {
  return JSON.stringify(value === undefined ? null : value, (_key, inner: unknown) =>
    typeof inner === 'number' && (!Number.isFinite(inner) || Object.is(inner, -0))
      ? { $number: Object.is(inner, -0) ? '-0' : String(inner) }
      : inner,
  );
}

/** The value that {@link encodeJson} was given. */
export function decodeJson(text: string): unknown {
  return JSON.parse(text, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || !('$number' in inner) || typeof inner.$number !== 'string')
      return inner;
    return Number(inner.$number);
  });
}

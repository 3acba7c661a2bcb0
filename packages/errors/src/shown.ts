/** Values that are looked at, whatever their number: what is cut from a message costs nothing. */
const deepest = 8;

/**
 * A value of a file as JSON, for messages: hostile ones may be megabytes long or nested a hundred thousand deep, where
 * `JSON.stringify` runs out of stack.
 *
 * @param most characters; longer texts end in `...`
 */
export function shown(value: unknown, most = 200): string {
  const text = value === undefined ? 'nothing' : write(value, { left: most, depth: 0 });
  return text.length > most ? `${text.slice(0, most - 3)}...` : text;
}

interface Room {
  left: number;
  readonly depth: number;
}

function write(value: unknown, room: Room): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, room.left + 1));
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? String(value);
  if (room.depth >= deepest) return Array.isArray(value) ? '[...]' : '{...}';
  const parts: string[] = [];
  const within: Room = { left: room.left, depth: room.depth + 1 };
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue;
    const item = (value as Record<string, unknown>)[key];
    if (item === undefined && !Array.isArray(value)) continue;
    const part = Array.isArray(value)
      ? write(item ?? null, within)
      : `${JSON.stringify(key.slice(0, within.left + 1))}:${write(item, within)}`;
    parts.push(part);
    within.left -= part.length + 1;
    if (within.left < 0) break;
  }
  return Array.isArray(value) ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
}

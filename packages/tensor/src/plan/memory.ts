import type { PersistentData, Plan } from '../backend.js';

/** What compiled functions have allocated on a device once their plans are prepared. */
export interface PlanMemory {
  /** Intermediates, in the arena that all plans share. */
  readonly arenaBytes: number;
  /** Arguments and scalars. */
  readonly argumentBytes: number;
  /**
   * Persistent tensors that the plans read or write, each with its bytes (of the pieces that they touch, where it lies
   * in several).
   */
  readonly sources: ReadonlyMap<PersistentData, number>;
  /** All of it. */
  readonly bytes: number;
}

/** The memory of plans that share one arena, to the byte and before anything is allocated. */
export function planMemory(plans: readonly Plan[]): PlanMemory {
  const arenas: number[] = [];
  const stored = new Map<PersistentData, number>();
  let argumentBytes = 0;
  for (const { buffers } of plans) {
    let arena = 0;
    for (const buffer of buffers) {
      if (buffer.kind === 'source') stored.set(buffer.source, buffer.bytes);
      else if (buffer.kind === 'arena') arenas[arena] = Math.max(arenas[arena++] ?? 0, buffer.bytes);
      // As `compile` allocates it: no buffer is empty.
      else if (buffer.kind !== 'argument') argumentBytes += Math.max(4, buffer.bytes);
    }
  }
  const sources = new Map<PersistentData, number>();
  for (const [data, bytes] of stored) {
    const whole = data.source ?? data;
    sources.set(whole, (sources.get(whole) ?? 0) + bytes);
  }
  const arenaBytes = total(arenas);
  return { arenaBytes, argumentBytes, sources, bytes: arenaBytes + argumentBytes + total([...sources.values()]) };
}

function total(bytes: readonly number[]): number {
  return bytes.reduce((sum, each) => sum + each, 0);
}

import { loadModel } from 'lowrank';
import type { DeviceName, TaskedModel } from 'lowrank';

/** A note, and how near its meaning is to what was asked: the cosine, 1 for the same. */
export interface Found {
  readonly note: string;
  readonly nearness: number;
}

/** Embeds each note once, and finds those that are nearest to a question. */
export class NoteSearch {
  private readonly known = new Map<string, readonly number[]>();

  private constructor(private readonly model: TaskedModel) {}

  static async open(files: readonly File[], device: DeviceName = 'auto'): Promise<NoteSearch> {
    return new NoteSearch(await loadModel(files, { task: 'feature-extraction', device }));
  }

  async search(query: string, notes: readonly string[]): Promise<Found[]> {
    const fresh = [...new Set([query, ...notes])].filter((text) => !this.known.has(text));
    const embedded = fresh.length === 0 ? [] : await this.model.predict(fresh);
    for (const [at, text] of fresh.entries()) this.known.set(text, embedded[at]?.['embedding'] as number[]);
    const asked = this.known.get(query) ?? [];
    return notes
      .map((note) => ({ note, nearness: dot(asked, this.known.get(note) ?? []) }))
      .sort((a, b) => b.nearness - a.nearness);
  }
}

/** The cosine, since embeddings have the length 1. */
function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
}

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { findModel } from '@lowrank/models';
import { version } from '../../package.json';
import type { StudyRun } from './studyRun.js';

/** A run before it has an id and a folder. */
export type PlannedStudyRun = Omit<StudyRun, 'id' | 'folder'>;

/**
 * Gives each run its id and folder below `<output>/runs`: the label, and a hash of its options, of the contents of the
 * data files and of the model's files. A changed flag or file thus makes other runs: no outcome is mistaken for another
 * run's, and nothing is overwritten.
 */
export async function identify(runs: readonly PlannedStudyRun[], output: string): Promise<StudyRun[]> {
  const files = new Fingerprints();
  const named: StudyRun[] = [];
  for (const planned of runs) {
    const { purpose, label } = planned;
    const training = await withPlaces(planned.training);
    const scoring = { ...planned.scoring, data: resolve(planned.scoring.data) };
    const what = {
      version,
      purpose,
      training: {
        ...training,
        model: await files.folder(training.model, 'model'),
        data: await files.file(training.data),
        template: await files.optional(training.template),
        initAdapter: training.initAdapter === undefined ? null : await files.folder(training.initAdapter, 'adapter'),
      },
      scoring: { ...scoring, data: await files.file(scoring.data) },
    };
    const digest = createHash('sha256').update(canonical(what)).digest('hex').slice(0, 12);
    const slug = label
      .toLowerCase()
      .replace(/[^a-z0-9.+]+/g, '-')
      .replace(/^-|-$/g, '')
      .slice(0, 60);
    const id = `${slug}-${digest}`;
    named.push({ id, label, purpose, folder: join(resolve(output), 'runs', id), training, scoring });
  }
  return named;
}

/** Makes local paths absolute; hub ids and URLs stay as they are. */
async function withPlaces(training: StudyRun['training']): Promise<StudyRun['training']> {
  const place = async (text: string): Promise<string> =>
    (await stat(text).catch(() => undefined)) === undefined ? text : resolve(text);
  const { model, data, template, initAdapter } = training;
  return {
    ...training,
    model: await place(model),
    data: resolve(data),
    ...(template === undefined ? {} : { template: resolve(template) }),
    ...(initAdapter === undefined ? {} : { initAdapter: await place(initAdapter) }),
  };
}

/** Digests of files, each read once. */
class Fingerprints {
  private readonly known = new Map<string, Promise<string>>();

  /** The digest of a file's contents. */
  file(path: string): Promise<string> {
    return this.once(path, async () => {
      const hash = createHash('sha256');
      for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
      return hash.digest('hex');
    });
  }

  async optional(path: string | undefined): Promise<string | null> {
    return path === undefined ? null : this.file(path);
  }

  /**
   * Digests of a model or adapter folder's small files, and sizes and times of its weights, which may have many
   * gigabytes.
   */
  folder(text: string, kind: 'model' | 'adapter'): Promise<string> {
    return this.once(`${kind} ${text}`, async () => {
      const { folder } = await findModel(text, { kind });
      const file = await stat(folder);
      if (file.isFile()) return `${basename(folder)} ${file.size} ${file.mtimeMs}`;
      const parts: string[] = [];
      for (const name of (await readdir(folder)).sort()) {
        const path = join(folder, name);
        const { size, mtimeMs } = await stat(path);
        if (name.endsWith('.safetensors')) parts.push(`${name} ${size} ${mtimeMs}`);
        else if (name.endsWith('.json') || name.endsWith('.jinja')) parts.push(`${name} ${await this.file(path)}`);
      }
      return parts.join('\n');
    });
  }

  private once(key: string, make: () => Promise<string>): Promise<string> {
    const known = this.known.get(key) ?? make();
    this.known.set(key, known);
    return known;
  }
}

/** JSON with sorted keys, without those that are undefined. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

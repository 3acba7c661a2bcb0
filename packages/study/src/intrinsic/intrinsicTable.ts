import type { ProjectionName } from '@lowrank/methods';
import type { D90 } from './d90.js';
import type { StudyRow, StudyTable } from '../tables/table.js';

/** A row of the table of dimensions: one dimension, over its seeds. */
export interface IntrinsicRow extends StudyRow {
  /** null for the base model and for full fine-tuning. */
  readonly dimension: number | null;
  /** Of full fine-tuning's performance; null where there is none. */
  readonly share: number | null;
}

/** What an intrinsic-dimension study finds: plain JSON. */
export interface IntrinsicTable extends Omit<StudyTable, 'study' | 'rows' | 'best' | 'best_folder'>, D90 {
  readonly study: 'intrinsic';
  readonly projection: ProjectionName;
  readonly entries: number | null;
  readonly structure_aware: boolean;
  /** The base model, full fine-tuning, and each dimension, ascending. */
  readonly rows: readonly IntrinsicRow[];
}

import { atEdge } from '../rateSearch.js';
import { format } from './format.js';
import type { StudyRow, StudyTable } from './table.js';

/** What all tables have in common. */
type Head = Pick<StudyTable, 'model' | 'model_parameters' | 'data' | 'test_data' | 'steps' | 'batch_size' | 'seeds'>;

/** llama (3,000,000 parameters), 300 steps of 8 rows each */
export function budgetText({ model, model_parameters: parameters, steps, batch_size: batch }: Head): string {
  const length = steps === null ? 'once through the data' : `${format.count(steps)} steps`;
  return `${model} (${format.count(parameters)} parameters), ${length} of ${batch} rows each`;
}

export function scoredOnText({ data, test_data: testData }: Head): string {
  return testData === null ? `scores on rows held out of ${data}` : `scores on ${testData}`;
}

export function seedsText({ seeds }: Head): string {
  return seeds === 1
    ? 'One seed: nothing here separates noise from difference.'
    : `Mean ± standard deviation of ${seeds} seeds.`;
}

/** What the star after a learning rate means; nothing where no row has one. */
export function edgeNotes(rows: readonly StudyRow[]): string[] {
  return rows.some(atEdge)
    ? ['* the smallest or largest learning rate that was tried: one beyond it might do better.']
    : [];
}

export function failureNotes(rows: readonly StudyRow[]): string[] {
  return rows.flatMap(({ label, error }) => (error === null ? [] : [`${label}: ${error.message}`]));
}

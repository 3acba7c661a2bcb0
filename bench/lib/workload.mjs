import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { packBatch, readDataset, readTokenizer } from '@lowrank/data';
import { root, shared } from '../../scripts/lib/paths.mjs';

/** What is trained: LoRA of rank 8 on every linear layer, batches of 8 rows in file order. */
export const recipe = { r: 8, targetModules: 'all-linear', batchSize: 8, learningRate: 1e-3, clip: 1 };

/**
 * @typedef {object} Workload
 * @property {string} name
 * @property {string} model a Hugging Face folder
 * @property {readonly import('@lowrank/data').EncodedRow[]} rows
 */

/**
 * stories3M on rows of e2e-nlg where ../shared lies beside the checkout, else the demo's model and rows.
 *
 * @returns {Promise<Workload | { reason: string }>}
 */
export async function findWorkload() {
  const choices = [
    ...(shared === undefined
      ? []
      : [
          {
            name: 'stories3M on e2e-nlg',
            model: join(shared, 'data/models/stories3M'),
            data: join(shared, 'data/datasets/e2e-nlg/train.jsonl'),
          },
        ]),
    {
      name: "the demo's model and rows",
      model: join(root, 'examples/demo/base'),
      data: join(root, 'examples/demo/data/train.jsonl'),
    },
  ];
  const found = choices.find(({ model, data }) => existsSync(join(model, 'config.json')) && existsSync(data));
  if (found === undefined)
    return {
      reason: `no model to train: expected ../shared/data/models/stories3M beside the checkout, or examples/demo/base`,
    };
  const { rows } = await readDataset(found.data, await readTokenizer(found.model));
  return { name: found.name, model: found.model, rows: rows.slice(0, 300) };
}

/**
 * The batches of steps 0, 1, …: rows in order, wrapping, packed into one sequence.
 *
 * @param {Workload} workload
 * @param {number} steps
 */
export function batchesOf({ rows }, steps) {
  return Array.from({ length: steps }, (_, step) =>
    packBatch(Array.from({ length: recipe.batchSize }, (_, i) => rows[(step * recipe.batchSize + i) % rows.length])),
  );
}

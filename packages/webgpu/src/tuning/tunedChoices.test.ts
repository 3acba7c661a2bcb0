import { expect, it } from 'vitest';
import { defaultLimits } from '../constants.js';
import type { MeasuredForm } from '../choices.js';
import { portableProfile } from '../profile.js';
import { productCandidates } from './productCandidates.js';
import { TunedChoices } from './tunedChoices.js';
import type { Tuner } from './tuner.js';

const context = { profile: portableProfile(), limits: defaultLimits };
const product = {
  batch: 1,
  m: 512,
  n: 512,
  transposeA: false,
  transposeB: false,
  encoded: false,
  operands: 'f32·f32',
  fused: false,
};
const sizeOf = (k: number) => ({ ...product, k });
const [, other] = productCandidates(sizeOf(64), context);

/** Choices of which every class has another form than the table's. */
function choices(device = 'a GPU'): TunedChoices {
  const tuner = { chosen: () => other?.name, decide: () => Promise.resolve(true) } satisfies Partial<Tuner>;
  return new TunedChoices(tuner as unknown as Tuner, { context, device });
}
const formOf = (made: TunedChoices, k: number): MeasuredForm | undefined => made.formOf(sizeOf(k));

it('holds still from the first step on: what was not asked for by then goes by the table', () => {
  const made = choices();
  made.begin();
  expect(formOf(made, 64)).toEqual(other?.form);
  made.fix();
  expect(formOf(made, 64)).toEqual(other?.form);
  expect(formOf(made, 256)).toBeUndefined();
  expect(made.saved()).toEqual({ device: 'a GPU', forms: { 'NN f32·f32 512x512x64': other?.name } });
  made.begin();
  expect(formOf(made, 256)).toEqual(other?.form);
});

it('goes by a checkpoint’s choices alone, and measures nothing then', async () => {
  const saved = { device: 'a GPU', forms: { 'NN f32·f32 512x512x64': other?.name ?? '' } };
  for (const made of [choices(), new TunedChoices(undefined, { context, device: 'a GPU' })]) {
    made.begin({ choices: saved });
    const { version } = made;
    await made.tune({ buffers: [], steps: [], inputs: [], scalars: [], outputs: [] });
    expect(made.version).toBe(version);
    expect(formOf(made, 64)).toEqual(other?.form);
    expect(formOf(made, 256)).toBeUndefined();
    expect(made.saved()).toEqual(saved);
  }
});

it('goes by the table where the checkpoint has no choices, and by its own on another device', () => {
  const made = choices();
  made.begin({ choices: undefined });
  expect(formOf(made, 64)).toBeUndefined();
  expect(made.saved()).toBeUndefined();
  made.begin({ choices: { device: 'another GPU', forms: {} } });
  expect(formOf(made, 64)).toEqual(other?.form);
  made.begin({ choices: 'rubbish' });
  expect(formOf(made, 64)).toEqual(other?.form);
});

it('takes the table for a form that it does not know', () => {
  const made = choices();
  made.begin({ choices: { device: 'a GPU', forms: { 'NN f32·f32 512x512x64': 'tile of another version' } } });
  expect(formOf(made, 64)).toBeUndefined();
});

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { generationKeys, readGenerationConfig, samplingNote, samplingOf } from './generationConfig.js';

/** The fields of transformers' GenerationConfig (parity/folderKeys.py). */
const { 'generation_config.json': fields } = JSON.parse(
  readFileSync(fileURLToPath(new URL('../../../../parity/golden/folderKeys.json', import.meta.url)), 'utf8'),
) as { 'generation_config.json': string[] };

const read = (json: unknown, isFollowed?: boolean) =>
  readGenerationConfig(
    { name: 'here', text: () => Promise.resolve(typeof json === 'string' ? json : JSON.stringify(json)) },
    isFollowed,
  );

test('every field of GenerationConfig has its use; another key brings a warning', async () => {
  expect(fields.filter((key) => !key.startsWith('_') && !Object.hasOwn(generationKeys, key))).toEqual([]);
  expect((await read({ temperatur: 1, _from_model_config: true, top_k: 3 })).warnings).toEqual([
    'here/generation_config.json: the key "temperatur" is not known here, and ignored.',
  ]);
});

describe('what is followed', () => {
  const file = { do_sample: true, temperature: 0.6, top_k: 20, top_p: 0.95, min_p: 0.1, repetition_penalty: 1.1 };
  const own = { temperature: 0.6, topK: 20, topP: 0.95, minP: 0.1, repetitionPenalty: 1.1 };

  test('a folder that samples: its settings, under those that were asked for', async () => {
    const config = await read(file);
    expect(samplingOf({}, config)).toEqual(own);
    expect(samplingOf({ temperature: 0, topK: 5 }, config)).toEqual({ ...own, temperature: 0, topK: 5 });
    expect(samplingOf({}, await read({ do_sample: true }))).toMatchObject({ temperature: 1, topK: 50 });
    expect(samplingOf({}, await read({ do_sample: true, top_k: null }))).not.toHaveProperty('topK');
    expect(samplingNote(config, {})).toEqual([
      'generation_config.json says how texts are written: temperature 0.6, topK 20, topP 0.95, minP 0.1, ' +
        'repetitionPenalty 1.1. A temperature of 0 takes the likeliest token each time.',
    ]);
  });

  test.each(Object.keys(file).filter((key) => key !== 'do_sample'))('%s changes something', async (key) => {
    const without = await read({ ...file, [key]: undefined });
    expect(samplingOf({}, without)).not.toEqual(samplingOf({}, await read(file)));
  });

  test('a folder that does not: the likeliest token, unless a temperature is asked for', async () => {
    const config = await read({ ...file, do_sample: false });
    expect(samplingOf({}, config)).toEqual({ repetitionPenalty: 1.1 });
    expect(samplingOf({}, config, { temperature: 0.7 })).toEqual({ temperature: 0.7, repetitionPenalty: 1.1 });
    expect(samplingOf({ temperature: 2 }, config)).toEqual({ ...own, temperature: 2 });
    expect(samplingNote(await read({ temperature: 0.6, top_p: 0.9 }), {})).toEqual([]);
  });

  test('ends of texts', async () => {
    expect(await read({ eos_token_id: [2, 7], stop_strings: ['END', ''] })).toMatchObject({
      stopIds: [2, 7],
      stopStrings: ['END'],
    });
    expect(await read({ eos_token_id: 2, stop_strings: 'x' })).toMatchObject({ stopIds: [2], stopStrings: ['x'] });
  });

  test('left aside where the caller says so, but for EOS; a damaged file says nothing', async () => {
    const config = await read({ ...file, num_beams: 4, eos_token_id: 3 }, false);
    expect(samplingOf({}, config)).toEqual({});
    expect(config).toMatchObject({ stopIds: [3], warnings: [] });
    expect(await read('{')).toMatchObject({ stopIds: [], samples: false });
  });
});

describe('what is refused is refused by its name', () => {
  const refused = Object.entries(generationKeys).filter(([, { use }]) => use === 'refused');
  test.each(refused.map(([key]) => key))('%s', async (key) => {
    const config = await read({ [key]: key.endsWith('config') ? { seed: 1 } : 4 });
    expect(() => samplingOf({}, config)).toThrow(`${key} in here/generation_config.json: expected`);
    for (const value of [null, false]) expect(samplingOf({}, await read({ [key]: value }))).toEqual({});
  });

  test('defaults that transformers writes are not', async () => {
    const defaults = { num_beams: 1, min_length: 0, typical_p: 1.0, bad_words_ids: [], no_repeat_ngram_size: 0 };
    expect(samplingOf({}, await read(defaults))).toEqual({});
  });
});

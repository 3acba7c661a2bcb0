import { join } from 'node:path';
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { copyOf, golden, runCli, scratch } from '../testing.js';
import { loadModel } from './loadModel.js';

const folder = join(golden, 'tied');

test('a folder, picked files and files of one’s own are one model, and it continues a prompt', async () => {
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  const picked = names.map((name) => new File([new Uint8Array(readFileSync(join(folder, name)))], name));
  const stages = new Set<string>();
  const texts: string[] = [];
  for (const source of [folder, picked]) {
    const model = await loadModel(source, { device: 'cpu', onProgress: ({ stage }) => stages.add(stage) });
    const pieces: string[] = [];
    for await (const piece of model.generate('name : ', { maxNewTokens: 12 })) pieces.push(piece);
    texts.push(pieces.join(''));
    expect(await model.generate('name : ', { maxNewTokens: 12 }).text()).toBe(pieces.join(''));
    expect(model.backend.name).toBe('cpu');
    expect(model.tokenize('a b', { addSpecialTokens: false }).length).toBeGreaterThan(0);
    await model.dispose();
    await expect(model.generate('x').text()).rejects.toMatchObject({ code: 'lowrank.disposed' });
  }
  expect(texts[0]).not.toBe('');
  expect(texts[1]).toBe(texts[0]);
  expect([...stages]).toEqual(['loading']);
});

test('a text ends at every EOS of generation_config.json', async () => {
  using place = scratch();
  const copy = copyOf('tied', join(place.path, 'model'));
  const model = await loadModel(folder, { device: 'cpu' });
  const whole = await model.generate('name : ', { maxNewTokens: 8 }).text();
  const ids = model.tokenize(whole, { addSpecialTokens: false });
  await model.dispose();
  writeFileSync(join(copy, 'generation_config.json'), JSON.stringify({ eos_token_id: [2, ids[1]] }));
  const ending = await loadModel(copy, { device: 'cpu' });
  expect(whole.startsWith(await ending.generate('name : ', { maxNewTokens: 8 }).text())).toBe(true);
  expect((await ending.generate('name : ', { maxNewTokens: 8 }).text()).length).toBeLessThan(whole.length);
  await ending.dispose();
});

test('a chat needs a template, the model’s or one’s own', async () => {
  const plain = await loadModel(folder, { device: 'cpu' });
  expect(() => plain.chat([{ role: 'user', content: 'hi' }])).toThrow(/chat template/);
  await plain.dispose();
  const template = '{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:';
  const model = await loadModel(folder, { device: 'cpu', template });
  expect(typeof (await model.chat([{ role: 'user', content: 'hi' }], { maxNewTokens: 4 }).text())).toBe('string');
  await model.dispose();
});

test('what is no source, and no quantization, is said', async () => {
  await expect(loadModel(7 as never)).rejects.toMatchObject({ code: 'lowrank.source' });
  await expect(loadModel(folder, { quantization: 'nf3' as never })).rejects.toMatchObject({ code: 'lowrank.option' });
  await expect(loadModel('./nowhere')).rejects.toMatchObject({ code: 'models.noFolder' });
});

test('what a tokenizer does not follow reaches loadModel, generate and chat', async () => {
  using place = scratch();
  const copy = copyOf('tied', join(place.path, 'model'));
  const path = join(copy, 'tokenizer_config.json');
  const config = JSON.parse(readFileSync(path, 'utf8')) as object;
  const chat_template = '{% for m in messages %}{{ m.content }}{% endfor %}';
  writeFileSync(path, JSON.stringify({ ...config, strange: 1, chat_template }));
  const told: string[] = [];
  const model = await loadModel(copy, { device: 'cpu', onWarning: (text) => told.push(text) });
  await model.dispose();
  const warning = 'tokenizer_config.json: the key "strange" is not known here';
  expect(told.filter((text) => text.includes(warning))).toHaveLength(1);
  expect(model.tokenizer.warnings).toEqual(told.filter((text) => text.includes('tokenizer')));
  const flags = ['--model', copy, '--device', 'cpu', '--max-new-tokens', '1'];
  for (const outcome of [
    await runCli(['generate', ...flags, '--prompt', 'a']),
    await runCli(['chat', ...flags], { input: ['hi'] }),
  ])
    expect([outcome.code, outcome.stderr]).toEqual([0, expect.stringContaining(`warning: ${warning}`)]);
});

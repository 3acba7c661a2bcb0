import { Embedding } from '@lowrank/nn';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { outlineModel, outlineTaskModel } from '../outline.js';
import { findFamily } from '../registry.js';
import { goldenFolder } from '../testing.js';
import { families } from './index.js';

type Config = Readonly<Record<string, unknown>>;

/** The config of each tiny model that transformers made. */
const configsOf = (set: 'families' | 'encoders' | 'vision'): Config[] =>
  readdirSync(goldenFolder('', set), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => JSON.parse(readFileSync(goldenFolder(`${name}/config.json`, set), 'utf8')) as Config);
const configs = configsOf('families');
const ofTasks = configsOf('encoders');
const ofImages = configsOf('vision');

test('every family has a tiny model, and each model_type one family', () => {
  const types = families.flatMap(({ modelTypes }) => modelTypes);
  expect(new Set(types).size).toBe(types.length);
  const tested = new Set([...configs, ...ofTasks, ...ofImages].map(({ model_type: type }) => findFamily(type)));
  expect(families.filter((family) => !tested.has(family)).map(({ name }) => name)).toEqual([]);
});

test.each(configs.map((config) => [config['model_type'], config] as const))(
  '%s: what the family states is so in its models',
  (modelType, config) => {
    const model = outlineModel(config);
    const paths = [...model.namedModules()].map(([path]) => path);
    const ends = (name: string): number => paths.filter((path) => path.endsWith(`.${name}`)).length;
    const { layers } = model.shape;
    expect(model.defaultTargets.map(ends)).toEqual(model.defaultTargets.map(() => layers));
    expect(model.residualWriters.map(ends)).toEqual([layers, layers]);
    expect(model.getModule(model.embeddingPath)).toBeInstanceOf(Embedding);
    expect(paths).toContain(model.outputPath);
    const biased = (keys: Config): number =>
      [...outlineModel({ ...config, ...keys }).namedParameters()].filter(([name]) => name.endsWith('.bias')).length;
    for (const key of findFamily(modelType)?.biasKeys ?? [])
      expect(biased({ [key]: true })).toBeGreaterThan(biased({ [key]: false }));
  },
);

test.each(ofTasks.map((config) => [String(config['architectures']), config] as const))(
  '%s: what the family states is so in its models with a head',
  (_, config) => {
    for (const kind of ['sequence', 'embedding'] as const) {
      const model = outlineTaskModel(config, { kind, labels: 3 });
      const paths = [...model.namedModules()].map(([path]) => path);
      const ends = (name: string): number => paths.filter((path) => path.endsWith(`.${name}`)).length;
      const { layers } = model.shape;
      expect(model.defaultTargets.map(ends)).toEqual(model.defaultTargets.map(() => layers));
      expect(model.residualWriters.map(ends).reduce((sum, each) => sum + each, 0)).toBe(2 * layers);
      expect(model.getModule(model.embeddingPath)).toBeInstanceOf(Embedding);
    }
  },
);

test.each(ofImages.map((config) => [String(config['architectures']), config] as const))(
  '%s: what the family states is so in its models of images',
  (_, config) => {
    const model = outlineTaskModel(config, { kind: 'image', labels: 3 });
    // SigLIP's pooling head stands beside the layers.
    const paths = [...model.namedModules()].map(([path]) => path).filter((path) => !path.includes('.head.'));
    const ends = (name: string): number => paths.filter((path) => path.endsWith(`.${name}`)).length;
    const { layers } = model.shape;
    expect(model.defaultTargets.map(ends)).toEqual(model.defaultTargets.map(() => layers));
    expect(model.residualWriters.map(ends)).toEqual([layers, layers]);
    expect(model.getModule(model.embeddingPath)).toBeDefined();
    expect(() => outlineTaskModel(config, { kind: 'sequence', labels: 3 })).toThrow(
      'a head for text-classification on',
    );
    expect(() => outlineModel(config)).toThrow('Use it for a task: image-classification');
  },
);

import { LowrankError } from '@lowrank/errors';
import type { LoraConfig, LoraWeights, PrincipalDirections } from '@lowrank/lora';
import {
  alphaAt,
  evaConfig,
  evaDirections,
  evaMatrix,
  evaRanks,
  LoraEmbedding,
  principalDirections,
  rankAt,
  scalingAt,
  variantOf,
} from '@lowrank/lora';
import type { LinearLike, Module } from '@lowrank/nn';
import { Embedding, Parameter } from '@lowrank/nn';
import { persistent, scalar, tensor } from '@lowrank/tensor';
import { wrapLayer } from './adaptedLayers.js';
import type { Begin } from './beginning.js';
import { missing } from './beginning.js';
import type { MeasureOptions } from './inputMoments.js';
import { measureInputs } from './inputMoments.js';
import { addAlone } from './plainBeginning.js';
import type { Adaptable } from './targets.js';
import { namesOf } from './targets.js';

/** From so many targets on PEFT names them as shortly as it can. */
const manyTargets = 20;

/**
 * A begins as the leading principal directions of what comes into each layer over the data, and the ranks go where they
 * explain most: EVA (Paischer et al. 2024). B is zero, so nothing changes at first. A layer that explains least may get
 * no adapter; embeddings, which have no input of numbers, begin as ever, as in PEFT.
 *
 * The numbers are those of PEFT's `initialize_lora_eva_weights` where its approximation is exact; here all data count
 * once, whatever their order, and the batches' sizes do not matter.
 *
 * @throws LowrankError `patch.data` without data, with fewer tokens that count than a layer's directions, or where a
 * layer sees none; `lora.config` for a rank above a layer's inputs
 */
export const beginEva: Begin = async (model, given, options) => {
  const { name = 'default', targets, data } = options;
  if (data === undefined) throw missing('eva', 'data to measure (options.data)');
  const eva = evaConfig(given.eva);
  const linear = new Map([...targets].filter((entry): entry is [string, LinearLike] => !isEmbedding(entry[1])));
  if (linear.size === 0)
    throw new LowrankError({
      code: 'patch.notLinear',
      what: 'EVA',
      expected: 'a linear layer among the target modules',
      got: 'only embeddings',
      remedy: 'Name linear layers too, or use another init.',
    });
  const { ranks, directions } = await distribute(model, given, { linear, data });
  const config = adjusted(model, given, { ranks, targets, adjustAlpha: eva.adjustScalingFactors });
  return {
    config,
    async addTo(path, layer) {
      const found = directions.get(path);
      const rank = ranks.get(path) ?? 0;
      if (found === undefined) await addAlone(model, { ...config, init: 'kaiming' }, { path, layer, options });
      else if (rank > 0) await addLayer(model, config, { path, layer, name, a: evaMatrix(found, rank, eva.whiten) });
    },
  };
};

function isEmbedding(layer: Adaptable): layer is Embedding | LoraEmbedding {
  return layer instanceof Embedding || layer instanceof LoraEmbedding;
}

/** Each linear layer's rank and its input's directions. */
async function distribute(
  model: Module,
  config: LoraConfig,
  { linear, data }: { linear: ReadonlyMap<string, LinearLike>; data: MeasureOptions },
): Promise<{ ranks: Map<string, number>; directions: Map<string, PrincipalDirections> }> {
  const { rho } = evaConfig(config.eva);
  // Before the data are read: a rank that no layer has room for.
  evaDirections(
    [...linear.keys()].map((path) => ({ path, rank: rankAt(config, path), input: path })),
    rho,
    new Map([...linear].map(([path, { inFeatures }]) => [path, inFeatures])),
  );
  const measured = await measureInputs(model, linear, data);
  const inputOf = new Map(measured.flatMap(({ paths }) => paths.map((path) => [path, paths[0] ?? path])));
  const layers = [...linear.keys()].map((path) => ({
    path,
    rank: rankAt(config, path),
    input: inputOf.get(path) ?? path,
  }));
  const wanted = evaDirections(layers, rho, new Map(measured.map(({ paths: [path = ''], width }) => [path, width])));
  const found = new Map<string, PrincipalDirections>();
  for (const {
    paths: [path = ''],
    width,
    scatter,
    tokens,
  } of measured) {
    const rank = wanted.get(path) ?? 0;
    if (tokens < rank)
      throw new LowrankError({
        code: 'patch.data',
        what: `EVA at ${path}`,
        expected: `at least ${rank} tokens that count, one for each direction`,
        got: String(tokens),
        remedy: 'Give more data, or lower r or rho.',
      });
    found.set(path, principalDirections({ scatter, width, rank }));
  }
  const ranks = evaRanks(layers, new Map([...found].map(([input, { shares }]) => [input, shares])));
  return {
    ranks,
    directions: new Map(
      layers.flatMap(({ path, input }) =>
        found.get(input) === undefined ? [] : [[path, found.get(input) as PrincipalDirections]],
      ),
    ),
  };
}

/** PEFT's rule: paths as keys of both patterns, and as targets. */
function adjusted(
  model: Module,
  config: LoraConfig,
  {
    ranks,
    targets,
    adjustAlpha,
  }: { ranks: ReadonlyMap<string, number>; targets: ReadonlyMap<string, Adaptable>; adjustAlpha: boolean },
): LoraConfig {
  const kept = [...targets.keys()].filter((path) => ranks.get(path) !== 0);
  const rankPattern: Record<string, number> = {};
  const alphaPattern: Record<string, number> = {};
  for (const path of kept) {
    const [before, rank] = [rankAt(config, path), ranks.get(path) ?? rankAt(config, path)];
    const alpha = alphaAt(config, path) * (adjustAlpha && rank !== before ? rank / before : 1);
    if (rank !== config.r) rankPattern[path] = rank;
    if (alpha !== config.alpha) alphaPattern[path] = alpha;
  }
  // Embeddings come last there.
  const paths = [...kept.filter((path) => ranks.has(path)), ...kept.filter((path) => !ranks.has(path))];
  return {
    ...config,
    rankPattern,
    alphaPattern,
    targetModules: paths.length >= manyTargets ? namesOf(model, paths) : paths,
  };
}

async function addLayer(
  model: Module,
  config: LoraConfig,
  { path, layer, name, a }: { path: string; layer: Adaptable; name: string; a: Float32Array },
): Promise<void> {
  const wrapped = wrapLayer(model, path, layer);
  const { inFeatures, outFeatures } = wrapped;
  const rank = a.length / inFeatures;
  const weights: LoraWeights = {
    a: new Parameter(tensor(a, [rank, inFeatures], { name: `${path}.lora_A` })),
    b: new Parameter(persistent([outFeatures, rank], { name: `${path}.lora_B` })),
    scale: scalar(scalingAt(config, path), { name: `scale.${name}` }),
    dropout: config.dropout,
    variant: variantOf(config),
  };
  wrapped.add(name, (await weights.variant?.prepare?.(wrapped, weights)) ?? weights);
}

import { choice, defineSettings, setting } from '@lowrank/settings';
import type { OptionsOf } from '@lowrank/settings';
import type { Tensor } from '@lowrank/tensor';
import { add, div, maximum, mul, neg, relu, square, sub } from '@lowrank/tensor';
import type { MeasuredLoss } from '../batch.js';
import { byPair, documentLogps, pairLoss } from './documentSums.js';
import { logSigmoid } from './logSigmoid.js';
import type { DocumentInput, Objective, ScoredModel } from './objective.js';
import { betaSetting, smoothingSetting } from './sharedSettings.js';

/** TRL's names. */
export const dpoLosses = ['sigmoid', 'robust', 'hinge', 'ipo', 'sigmoid_norm'] as const;
/** A variant of the DPO loss, by TRL's name for `loss_type`. */
export type DpoLoss = (typeof dpoLosses)[number];

export const dpoSettings = defineSettings(
  { code: 'trainer.settings', subject: 'the DPO setting' },
  {
    beta: betaSetting,
    dpoLoss: setting({
      schema: choice(dpoLosses),
      default: 'sigmoid',
      help: `${dpoLosses.join(', ')}: how the difference of the pair becomes a loss`,
      see: './preferences#dpo',
      value: 'name',
      aliases: ['loss_type'],
    }),
    labelSmoothing: smoothingSetting,
  },
);

type DpoOptions = OptionsOf<typeof dpoSettings>;

/** What a variant sees of P pairs: the log ratios to the reference, and the numbers of their completions' tokens. */
interface Ratios {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
  readonly lengths: { readonly chosen: Tensor; readonly rejected: Tensor };
}

type Variant = (ratios: Ratios, options: { readonly beta: number; readonly labelSmoothing: number }) => Tensor;

/**
 * The losses [P], with Δ = log ratio of the chosen − log ratio of the rejected, and Δ̄ the same of means over tokens.
 */
const variants: Readonly<Record<DpoLoss, Variant>> = {
  /** −(1 − ε)·log σ(βΔ) − ε·log σ(−βΔ): DPO (Rafailov et al. 2023), with ε Mitchell's conservative form. */
  sigmoid: (ratios, { beta, labelSmoothing }) => sub(...smoothed(mul(delta(ratios), beta), labelSmoothing)),
  /** (−(1 − ε)·log σ(βΔ) + ε·log σ(−βΔ)) / (1 − 2ε): unbiased where a share ε of the pairs is the wrong way round. */
  robust: (ratios, { beta, labelSmoothing }) =>
    div(add(...smoothed(mul(delta(ratios), beta), labelSmoothing)), 1 - 2 * labelSmoothing),
  /** max(0, 1 − βΔ) */
  hinge: (ratios, { beta }) => relu(sub(1, mul(delta(ratios), beta))),
  /** (Δ̄ − 1/(2β))² */
  ipo: (ratios, { beta }) => square(sub(delta(perToken(ratios)), 1 / (2 * beta))),
  /** −log σ(βΔ̄), as `sigmoid` with smoothing */
  sigmoid_norm: (ratios, { beta, labelSmoothing }) =>
    sub(...smoothed(mul(delta(perToken(ratios)), beta), labelSmoothing)),
};

/** −(1 − ε)·log σ(z) and ε·log σ(−z) */
function smoothed(z: Tensor, epsilon: number): [right: Tensor, flipped: Tensor] {
  return [neg(mul(logSigmoid(z), 1 - epsilon)), mul(logSigmoid(neg(z)), epsilon)];
}

function delta({ chosen, rejected }: Pick<Ratios, 'chosen' | 'rejected'>): Tensor {
  return sub(chosen, rejected);
}

function perToken({ chosen, rejected, lengths }: Ratios): Pick<Ratios, 'chosen' | 'rejected'> {
  return { chosen: div(chosen, maximum(lengths.chosen, 1)), rejected: div(rejected, maximum(lengths.rejected, 1)) };
}

/**
 * Direct preference optimization, Rafailov et al. 2023 (https://arxiv.org/abs/2305.18290), as TRL's DPOTrainer: the
 * model's log probability of a completion against that of the model at its start is its reward, β·log(π/π_ref), and the
 * chosen one's is to be the higher.
 */
export const dpo: Objective<typeof dpoSettings> = {
  name: 'dpo',
  title: 'direct preference optimization',
  rows: 'preference',
  settings: dpoSettings,
  hasReference: true,
  loss(model: ScoredModel, inputs: Readonly<Record<DocumentInput, Tensor>>, options: DpoOptions): MeasuredLoss {
    const { beta = 0.1, dpoLoss = 'sigmoid', labelSmoothing = 0 } = options;
    const { logps } = documentLogps(model, inputs);
    const ratios = byPair(sub(logps, inputs.reference));
    const losses = variants[dpoLoss]({ ...ratios, lengths: byPair(inputs.lengths) }, { beta, labelSmoothing });
    const rewards = { chosen: mul(ratios.chosen, beta), rejected: mul(ratios.rejected, beta) };
    return pairLoss(losses, inputs.weights, rewards);
  },
};

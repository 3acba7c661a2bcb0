import type { Parameter } from './parameter.js';

/** What an optimizer trains: a parameter with its name. */
export interface TrainedParameter {
  /** For errors, files and dumps: 'model.layers.0.self_attn.q_proj.lora_A'. */
  readonly name: string;
  /** Holds a persistent tensor on the host before training, and a view of a flat vector once training begins. */
  readonly parameter: Parameter;
  /** Factor on the learning rate; default 1. */
  readonly learningRateFactor?: number;
  /** Overrides the run's weight decay: 0 for parameters that do not decay. */
  readonly weightDecay?: number;
}

// Made by scripts/generate.mjs from bench/results/costModel.json: do not edit.
import type { LaunchGroup } from '../launches.js';

/** What was measured of a device, and how far the model was off there. */
export interface Calibration {
  readonly device: string;
  readonly date: string;
  /** Steps that were measured. */
  readonly runs: number;
  /** |expected / measured − 1| of whole steps, each by what was fitted to the others. */
  readonly error: { readonly median: number; readonly most: number };
  /** The share of the rates of a square product and of a sum of vectors that launches of a group reach. */
  readonly efficiency: Readonly<Partial<Record<LaunchGroup, number>>>;
}

/** The devices that are measured: the CPU backend, and a GPU that a CPU pretends to be. */
export type CalibratedKind = 'cpu' | 'software';

export const calibrations: Readonly<Record<CalibratedKind, Calibration>> = {
  cpu: {
    device: 'the CPU',
    date: '2026-11-30',
    runs: 8,
    error: { median: 0.0679, most: 0.127 },
    efficiency: {
      products: 0.95,
      'head and loss': 0.834,
      attention: 0.57,
      'thin products': 0.766,
      SwiGLU: 0.278,
      'norms and sums': 1.16,
      rope: 1.68,
      scales: 0.721,
      optimizer: 0.914,
      embedding: 4.5,
      'products over codes': 0.942,
    },
  },
  software: {
    device: 'a GPU in software (lavapipe)',
    date: '2026-11-30',
    runs: 6,
    error: { median: 0.227, most: 0.396 },
    efficiency: {
      products: 1.11,
      'head and loss': 1.14,
      attention: 0.289,
      'thin products': 0.928,
      SwiGLU: 0.513,
      rope: 0.507,
      'norms and sums': 0.77,
      optimizer: 0.549,
      embedding: 1.15,
      scales: 0.892,
      'products over codes': 0.643,
    },
  },
};

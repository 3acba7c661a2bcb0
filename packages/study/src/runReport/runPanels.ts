import { blue, green, vermilion } from '../charts/theme.js';
import { format } from '../tables/format.js';
import type { CurveName } from './runCurves.js';

/** A curve of a panel. */
export interface PanelSeries {
  readonly curve: CurveName;
  readonly name: string;
  readonly color: string;
  /** `noisy`: pale, below its moving mean; `spiky`: below its moving median. `dots`: a dot for each value, too. */
  readonly style: 'noisy' | 'spiky' | 'line' | 'dots';
}

/** A chart of a run, over its steps. */
export interface RunPanel {
  readonly title: string;
  readonly series: readonly PanelSeries[];
  readonly format?: (value: number) => string;
  /** Its axis begins at 0. */
  readonly fromZero?: boolean;
  /** Its values are shares, and its axis ends at 100%. */
  readonly isShare?: boolean;
}

const measure = (title: string, name: 'margin' | 'accuracy'): Pick<RunPanel, 'title' | 'series'> => ({
  title,
  series: [
    { curve: name, name: 'training', color: blue, style: 'noisy' },
    { curve: `eval_${name}`, name: 'held out', color: vermilion, style: 'dots' },
  ],
});

const single = (title: string, curve: CurveName, style: PanelSeries['style']): Pick<RunPanel, 'title' | 'series'> => ({
  title,
  series: [{ curve, name: '', color: style === 'line' ? green : blue, style }],
});

/** The panel of losses: of training, noisy, and of rows held out. */
/** The loss of each step under its moving mean, and that of held-out rows. */
export const lossPanel: RunPanel = {
  title: 'Loss',
  series: [
    { curve: 'loss', name: 'training', color: blue, style: 'noisy' },
    { curve: 'eval_loss', name: 'held out', color: vermilion, style: 'dots' },
  ],
};

/** Those without a value are not drawn. */
export const otherPanels: readonly RunPanel[] = [
  measure('Reward margin', 'margin'),
  { ...measure('Accuracy of rewards', 'accuracy'), isShare: true, format: (value) => `${Math.round(value * 100)}%` },
  single('Learning rate', 'learning_rate', 'line'),
  single('Gradient norm before clipping', 'grad_norm', 'spiky'),
  { ...single('Tokens a second', 'tokens_per_second', 'noisy'), fromZero: true },
  {
    ...single('Device memory', 'memory_bytes', 'line'),
    fromZero: true,
    format: (value) => (value === 0 ? '0' : format.bytes(value)),
  },
];

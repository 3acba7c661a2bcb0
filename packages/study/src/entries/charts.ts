export { colors, inTheDark } from '../charts/theme.js';
export { drawRunPanel } from '../runReport/drawRunPanel.js';
export type { RunPanelOptions, StepMark } from '../runReport/drawRunPanel.js';
export { RunCurves } from '../runReport/runCurves.js';
export type { MetricsLine } from '../runReport/runCurves.js';
export { lossPanel } from '../runReport/runPanels.js';
export { drawSpectra } from '../spectrum/drawSpectra.js';
export type { NamedSpectrum } from '../spectrum/drawSpectra.js';

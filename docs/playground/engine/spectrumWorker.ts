import { inspectAdapter } from '@lowrank/lora';
import type { LayerReport } from '@lowrank/lora';
import { bytesSource } from '@lowrank/safetensors';
import type { AdapterFiles } from './session';

export type SpectrumAnswer =
  | { readonly layers: readonly Pick<LayerReport, 'path' | 'rank' | 'singularValues' | 'effectiveRank' | 'norm'>[] }
  | { readonly problem: string };

/** The part of a worker's scope that is used here; the page's own types know only windows. */
interface Scope {
  postMessage(message: SpectrumAnswer): void;
  onmessage: ((event: { readonly data: AdapterFiles }) => void) | null;
}

const scope = globalThis as unknown as Scope;

// Decompositions of hundreds of layers would hold up the page.
scope.onmessage = ({ data }) => {
  inspect(data).then(
    (answer) => scope.postMessage(answer),
    (error: unknown) => scope.postMessage({ problem: error instanceof Error ? error.message : String(error) }),
  );
};

async function inspect(files: AdapterFiles): Promise<SpectrumAnswer> {
  const config: unknown = JSON.parse(new TextDecoder().decode(files['adapter_config.json']));
  const weights = bytesSource(files['adapter_model.safetensors'] ?? new Uint8Array());
  const { layers } = await inspectAdapter({ config, weights, name: 'the adapter' });
  return {
    layers: layers.map(({ path, rank, singularValues, effectiveRank, norm }) => ({
      path,
      rank,
      singularValues,
      effectiveRank,
      norm,
    })),
  };
}

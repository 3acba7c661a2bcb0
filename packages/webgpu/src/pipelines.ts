import { ShaderStage } from './constants.js';
import { shaderFailed } from './gpuErrors.js';
import type { BindGroupLayout, ComputePipeline, Device } from './gpuTypes.js';

export type Access = 'read' | 'read_write' | 'uniform';

/** What makes a pipeline: its WGSL, the access of each binding of group 0, and a name for errors and profiles. */
export interface PipelineSpec {
  readonly code: string;
  readonly label: string;
  readonly access: readonly Access[];
}

export interface Pipeline {
  readonly pipeline: ComputePipeline;
  readonly layout: BindGroupLayout;
}

const bufferTypes = { read: 'read-only-storage', read_write: 'storage', uniform: 'uniform' } as const;

/**
 * Pipelines by their WGSL source: layers of equal shapes share one, within a plan and across plans. Compilation is
 * asynchronous and all pipelines of a plan compile together.
 */
export class PipelineCache {
  readonly #gpu: GPUDevice;
  readonly #pipelines = new Map<string, Promise<Pipeline>>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();

  constructor(gpu: Device) {
    this.#gpu = gpu;
  }

  get size(): number {
    return this.#pipelines.size;
  }

  /** The pipeline for this source, compiled at most once. Throws `webgpu.shader-failed` with the offending lines. */
  get(spec: PipelineSpec): Promise<Pipeline> {
    const known = this.#pipelines.get(spec.code);
    if (known !== undefined) return known;
    const made = this.#compile(spec);
    this.#pipelines.set(spec.code, made);
    // The caller gets the failure; a later plan may try again.
    made.catch(() => this.#pipelines.delete(spec.code));
    return made;
  }

  async #compile({ code, label, access }: PipelineSpec): Promise<Pipeline> {
    const gpu = this.#gpu;
    const layout = this.#layout(access);
    // The scope keeps a failing module out of the uncaptured errors: it is reported here, with its lines.
    gpu.pushErrorScope('validation');
    const module = gpu.createShaderModule({ code, label });
    const compiled = gpu.createComputePipelineAsync({
      label,
      layout: gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: 'main' },
    });
    const scope = gpu.popErrorScope();
    // Awaited together: a rejection must find its handler before the scope answers.
    const [pipeline] = await Promise.allSettled([compiled, scope]);
    if (pipeline.status === 'fulfilled') return { pipeline: pipeline.value, layout };
    const info = await module.getCompilationInfo();
    throw shaderFailed(
      label,
      code,
      info.messages,
      pipeline.reason instanceof Error ? pipeline.reason.message : String(pipeline.reason),
    );
  }

  /** Layouts are explicit, so that a binding the compiler finds unused is no error, and shared by signature. */
  #layout(access: readonly Access[]): GPUBindGroupLayout {
    const key = access.join();
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    const entries = access.map((kind, binding) => ({
      binding,
      visibility: ShaderStage.compute,
      buffer: { type: bufferTypes[kind] },
    }));
    const made = this.#gpu.createBindGroupLayout({ label: key, entries });
    this.#layouts.set(key, made);
    return made;
  }
}

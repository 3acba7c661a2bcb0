import type { Backend } from './backend.js';
import { compile } from './compile.js';
import type { DeviceBuffer } from './memory.js';
import type { HostArray } from './dtype.js';
import { bytesPerElement, hostArray } from './dtype.js';
import type { Node, OpNode, Tensor } from './graph.js';
import { tensor } from './create.js';
import type { Launch, Slot } from './launchOp.js';
import { launchOp } from './launchOp.js';
import type { Spec } from './op.js';
import { applyAll } from './op.js';
import { concatOp } from './ops/movement.js';
import { elementwise } from './ops/elementwise.js';
import type { KernelName } from './ops/index.js';
import type { PackAttrs } from './ops/view.js';
import { packPieces } from './ops/view.js';
import { inPlacePairs } from './plan/inPlace.js';
import { bytesOf } from './plan/program.js';
import { topological } from './reference.js';
import { isLarge } from './rowPieces.js';
import { sizeOf } from './shape.js';
import type { Source } from './source.js';
import type { HostTensor, Trace } from './trace.js';

/** Options of `runUnplanned`. */
export interface UnplannedOptions {
  /** Sees each op's result, in order; returning false ends the run there. */
  onValue?: (node: OpNode, output: number, read: () => Promise<HostArray>) => Promise<boolean>;
}

/** What runUnplanned.ts loads: see there. */
export async function runUnplanned(
  backend: Backend,
  trace: Trace,
  inputs: Readonly<Record<string, HostTensor>>,
  options: UnplannedOptions = {},
): Promise<Record<string, HostArray>> {
  const executor = new Executor(backend);
  try {
    for (const { name, tensor } of trace.inputs) executor.upload(tensor, inputs[name]);
    const wanted = [
      ...trace.outputs.map(({ tensor }) => tensor),
      ...trace.effects.flatMap(({ target, value }) => [target, value]),
    ];
    for (const node of topological(wanted)) {
      if (node.kind !== 'op') continue;
      await executor.evaluate(node);
      if (executor.leftOut(node)) continue;
      for (const [index, spec] of node.outputs.entries()) {
        const goOn = (await options.onValue?.(node, index, () => executor.read({ node, index, spec }))) ?? true;
        if (!goOn) return {};
      }
    }
    const results: Record<string, HostArray> = {};
    for (const { name, tensor } of trace.outputs)
      if (!executor.leftOut(tensor.node))
        results[name] = await executor.read({ node: tensor.node, index: tensor.index, spec: tensor.spec });
    // All values are computed before the first assignment, so that each of them saw the old state.
    const values: HostArray[] = [];
    for (const { value } of trace.effects)
      if (!executor.leftOut(value.node))
        values.push(await executor.read({ node: value.node, index: value.index, spec: value.spec }));
    trace.effects
      .filter(({ value }) => !executor.leftOut(value.node))
      .forEach(({ target }, at) => executor.overwrite(target, values[at]));
    await backend.finish();
    return results;
  } finally {
    executor.dispose();
  }
}

class Executor {
  private readonly slots = new Map<Node, Slot[]>();
  private readonly own: DeviceBuffer[] = [];
  private readonly missing = new Set<Node>();

  constructor(private readonly backend: Backend) {}

  upload({ node, spec }: Tensor, input: HostTensor | undefined): void {
    if (input === undefined) throw new TypeError('an argument has no data');
    const slot = this.allocate(spec);
    this.backend.write(slot.memory, 0, input.data);
    this.slots.set(node, [slot]);
  }

  /** True for a value that was not computed, since it or what it is made of is larger than one binding. */
  leftOut(node: Node): boolean {
    return this.missing.has(node);
  }

  async evaluate(node: OpNode): Promise<void> {
    const large = node.op.alias === undefined && node.outputs.some((spec) => isLarge(spec, this.backend.spec));
    if (large || node.inputs.some((input) => this.missing.has(input.node))) {
      this.missing.add(node);
      return;
    }
    if (node.op.alias !== undefined) return this.view(node, node.op.alias(node.attrs));
    if (node.inputs.some((input) => this.placeOf(input.node) !== undefined)) return this.evaluateInPieces(node);
    const inputs = node.inputs.map((input) => this.slotOf(input));
    const outputs = node.outputs.map((spec) => this.allocate(spec));
    if (node.op.inPlaceOnly === true) await this.putInPlace(node, inputs, outputs);
    if (node.op.name === 'pack') await this.pack(node.attrs as PackAttrs, inputs, outputs);
    else await this.launch({ op: node.op.name as KernelName, attrs: node.attrs, inputs, outputs, scope: node.scope });
    this.slots.set(node, outputs);
  }

  private async view(node: OpNode, start: number): Promise<void> {
    const [input] = node.inputs;
    // A view of data in several buffers is no slice: whoever reads it leaves that to the planner.
    if (input === undefined || this.placeOf(input.node) !== undefined) return;
    const base = this.slotOf(input);
    const [spec = base.spec] = node.outputs;
    const offset = base.offset + start * bytesPerElement(spec.dtype);
    const view = { memory: base.memory, offset, spec };
    this.slots.set(node, [offset % this.backend.spec.alignment === 0 ? view : await this.copyOut(view)]);
  }

  /** Persistent data in several buffers, or a view of such. */
  private placeOf(node: Node): { readonly source: Source; readonly offset: number } | undefined {
    if (node.kind === 'source')
      return node.piecesOn(this.backend.spec) === undefined ? undefined : { source: node, offset: 0 };
    const [base] = node.kind === 'op' && node.op.alias !== undefined ? node.inputs : [];
    const place = base === undefined ? undefined : this.placeOf(base.node);
    if (place === undefined || node.kind !== 'op') return undefined;
    return {
      ...place,
      offset: place.offset + (node.op.alias?.(node.attrs) ?? 0) * bytesPerElement(place.source.spec.dtype),
    };
  }

  /** An op on tensors beyond one binding is left to the planner, alone. */
  private async evaluateInPieces(node: OpNode): Promise<void> {
    const lent: Tensor[] = [];
    const inputs: Tensor[] = [];
    for (const input of node.inputs) {
      if (this.placeOf(input.node) !== undefined || input.node.kind === 'scalar') inputs.push(input);
      else
        inputs.push(lent[lent.push(tensor(await this.read(input), input.shape, { dtype: input.dtype })) - 1] ?? input);
    }
    const alone = compile(
      this.backend,
      () => Object.fromEntries(applyAll(node.op, inputs, node.attrs).map((output, at) => [`${at}`, output])),
      { fusion: false },
    );
    try {
      const results = await alone.run();
      const slots = node.outputs.map((spec) => this.allocate(spec));
      for (const [at, slot] of slots.entries())
        this.backend.write(slot.memory, 0, (await results[`${at}`]) ?? new Float32Array());
      this.slots.set(node, slots);
    } finally {
      await alone.dispose();
      lent.forEach((owned) => owned.dispose());
    }
  }

  async read({ node, index, spec }: { node: Node; index: number; spec: Spec }): Promise<HostArray> {
    const place = this.slots.has(node) ? undefined : this.placeOf(node);
    if (place !== undefined)
      return hostArray(
        spec.dtype,
        await place.source.read(place.offset, sizeOf(spec.shape) * bytesPerElement(spec.dtype)),
        0,
        sizeOf(spec.shape),
      );
    const slot = this.slotOf({ node, index, spec });
    const bytes = sizeOf(spec.shape) * bytesPerElement(spec.dtype);
    return hostArray(spec.dtype, await this.backend.read(slot.memory, slot.offset, bytes), 0, sizeOf(spec.shape));
  }

  overwrite(target: Tensor, data: HostArray | undefined): void {
    const slot = this.slotOf(target);
    if (data !== undefined) this.backend.write(slot.memory, slot.offset, data);
  }

  dispose(): void {
    this.own.forEach((buffer) => buffer.destroy());
  }

  private allocate(spec: Spec): Slot {
    const memory = this.backend.allocate(Math.max(4, bytesOf(spec)), 'unplanned');
    this.own.push(memory);
    return { memory, offset: 0, spec };
  }

  private slotOf({ node, index, spec }: { node: Node; index: number; spec: Spec }): Slot {
    const known = this.slots.get(node)?.[index];
    if (known !== undefined) return known;
    if (node.kind === 'source') return { memory: node.on(this.backend), offset: 0, spec };
    if (node.kind !== 'scalar') throw new TypeError('a value was used before it was made');
    const slot = this.allocate(spec);
    this.backend.write(
      slot.memory,
      0,
      node.dtype === 'f32'
        ? Float32Array.of(node.value)
        : node.dtype === 'i32'
          ? Int32Array.of(node.value)
          : Uint32Array.of(node.value),
    );
    const numbered = { ...slot, number: node };
    this.slots.set(node, [numbered]);
    return numbered;
  }

  /** Kernels that only work in place find the old value where the new one goes. */
  private async putInPlace({ op, attrs }: OpNode, inputs: Slot[], outputs: readonly Slot[]): Promise<void> {
    for (const [from, to] of inPlacePairs({ op, attrs })) {
      const [input, output] = [inputs[from], outputs[to]];
      if (input === undefined || output === undefined) continue;
      const old = await this.backend.read(
        input.memory,
        input.offset,
        sizeOf(input.spec.shape) * bytesPerElement(input.spec.dtype),
      );
      this.backend.write(output.memory, 0, new Uint8Array(old));
      inputs[from] = output;
    }
  }

  /** A view that no kernel can bind goes through the host. */
  private async copyOut(view: Slot): Promise<Slot> {
    const slot = this.allocate(view.spec);
    const data = await this.backend.read(
      view.memory,
      view.offset,
      sizeOf(view.spec.shape) * bytesPerElement(view.spec.dtype),
    );
    this.backend.write(slot.memory, 0, new Uint8Array(data));
    return slot;
  }

  private async pack({ offsets, size }: PackAttrs, inputs: readonly Slot[], [output]: readonly Slot[]): Promise<void> {
    const parts: Slot[] = [];
    for (const { input: at, length } of packPieces(
      { offsets, size },
      inputs.map((input) => sizeOf(input.spec.shape)),
    )) {
      const spec: Spec = { shape: [length], dtype: 'f32' };
      const input = at === undefined ? undefined : inputs[at];
      if (input !== undefined) parts.push({ memory: input.memory, offset: input.offset, spec });
      else {
        const gap = this.allocate(spec);
        await this.launch({
          op: elementwise.name,
          attrs: { program: [{ fn: 'constant', value: 0 }], shape: spec.shape },
          inputs: [],
          outputs: [gap],
          scope: 'pack',
        });
        parts.push(gap);
      }
    }
    if (output !== undefined)
      await this.launch({ op: concatOp.name, attrs: { axis: 0 }, inputs: parts, outputs: [output], scope: 'pack' });
  }

  private launch(launched: Launch): Promise<void> {
    return launchOp(this.backend, launched);
  }
}

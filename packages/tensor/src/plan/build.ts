import type { BackendSpec, Plan } from '../backend.js';
import type { Trace } from '../trace.js';
import { absorbAddend } from './absorbAddend.js';
import { absorbScale } from './absorbScale.js';
import { fuseEpilogue } from './fuseEpilogue.js';
import { fuseElementwise } from './fuseElementwise.js';
import { fuseLeftOperand } from './fuseLeftOperand.js';
import { fuseMatmul } from './fuseMatmul.js';
import { fuseParts } from './fuseParts.js';
import { groupLaunches } from './groupLaunches.js';
import { keepHalves } from './keepHalves.js';
import { layOut } from './layout.js';
import { place } from './place.js';
import { lower, removeDead } from './program.js';
import { remakeOutputs } from './remakeOutputs.js';
import { sumProducts } from './sumProducts.js';
import { splitRows } from './splitRows.js';

/** Options of `buildPlan`. */
export interface BuildPlanOptions {
  /** Off: every op keeps its own kernel. For comparison in tests. */
  fusion?: boolean;
}

/**
 * From a trace to a plan: lowering with common-subexpression removal, dead-code removal, large tensors cut by rows,
 * scales into what they multiply, matmul epilogues, elementwise fusion, intermediates in 16 bits, layout (packs,
 * in-place updates), launches gathered into one, placement. A pure function of the trace and the backend's spec: it
 * needs no device and no data.
 */
export function buildPlan(trace: Trace, spec: BackendSpec, { fusion = true }: BuildPlanOptions = {}): Plan {
  const program = lower(trace);
  removeDead(program);
  splitRows(program, spec);
  if (fusion && spec.fusion.absorption) absorbScale(program);
  if (fusion && spec.fusion.matmulEpilogue) fuseMatmul(program);
  if (fusion) sumProducts(program, spec);
  if (fusion && spec.fusion.absorption) absorbAddend(program);
  if (fusion && spec.fusion.remaking === true) remakeOutputs(program);
  if (fusion) fuseLeftOperand(program, spec);
  if (fusion) fuseEpilogue(program, spec);
  if (fusion) fuseParts(program, spec);
  if (fusion && spec.fusion.elementwiseInstructions > 1) fuseElementwise(program, spec);
  removeDead(program);
  keepHalves(program, spec);
  layOut(program, spec.alignment);
  return place(program, groupLaunches(program, spec), spec);
}

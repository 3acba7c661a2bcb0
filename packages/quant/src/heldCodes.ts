import type { Module } from '@lowrank/nn';
import { Parameter } from '@lowrank/nn';
import { EncodedMatrix } from '@lowrank/tensor/op';

/** Of an encoded matrix's parts, as parameters. */
const partNames = ['weight', 'weight.absmax', 'weight.nested'] as const;

/** The parts of a matrix of codes, as a layer holds them: never trained. */
export function heldCodes(matrix: EncodedMatrix): [name: string, parameter: Parameter][] {
  return partNames.flatMap((name, at): [string, Parameter][] => {
    const part = matrix.parts[at];
    return part === undefined ? [] : [[name, new Parameter(part, false)]];
  });
}

/** The codes that a module has in place of a weight: a quantized linear layer or table. */
export function codesOf(module: Module): EncodedMatrix | undefined {
  return 'matrix' in module && module.matrix instanceof EncodedMatrix ? module.matrix : undefined;
}

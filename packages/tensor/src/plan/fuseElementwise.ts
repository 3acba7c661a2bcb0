import type { BackendSpec } from '../backend.js';
import type { ElementwiseAttrs, ElementwiseInstruction } from '../ops/elementwise.js';
import { sameShape, sizeOf } from '../shape.js';
import type { Instruction, Program, Value } from './program.js';
import { countUses } from './program.js';

/**
 * Joins an elementwise instruction into the one that alone reads its result, so that chains of arithmetic become one
 * kernel. Values that broadcast are joined only when they are single numbers: anything larger would be computed again
 * and again.
 */
export function fuseElementwise(program: Program, spec: BackendSpec): void {
  const uses = countUses(program);
  const producers = new Map<Value, Instruction>();
  const gone = new Set<Instruction>();
  for (const instruction of program.instructions) {
    if (instruction.op.name !== 'elementwise') continue;
    for (let at = 0; at < instruction.inputs.length;) {
      const input = instruction.inputs[at];
      const producer = input === undefined ? undefined : producers.get(input.root);
      if (input === undefined || producer === undefined || uses.get(input.root) !== 1 || !fits(input, instruction)) {
        at++;
        continue;
      }
      const joined = join(producer, instruction, at);
      if (
        joined.inputs.length + 1 > spec.maxOperands ||
        joined.attrs.program.length > spec.fusion.elementwiseInstructions
      ) {
        at++;
        continue;
      }
      Object.assign(instruction, joined);
      gone.add(producer);
      at = 0;
    }
    const [output] = instruction.outputs;
    if (output !== undefined) producers.set(output.root, instruction);
  }
  program.instructions = program.instructions.filter((instruction) => !gone.has(instruction));
}

function fits(input: Value, consumer: Instruction): boolean {
  const { shape } = consumer.attrs as ElementwiseAttrs;
  return (
    input.whole &&
    sameShape(input.root.spec.shape, input.spec.shape) &&
    (sameShape(input.spec.shape, shape) || sizeOf(input.spec.shape) === 1)
  );
}

/** One program for producer and consumer; the consumer's input `at` is the producer's output. */
function join(producer: Instruction, consumer: Instruction, at: number): { inputs: Value[]; attrs: ElementwiseAttrs } {
  const first = producer.attrs as ElementwiseAttrs;
  const second = consumer.attrs as ElementwiseAttrs;
  const inputs: Value[] = [];
  const place = (value: Value): number => {
    const known = inputs.findIndex(
      (other) => other === value || (other.isSlice(value) && sameShape(other.spec.shape, value.spec.shape)),
    );
    return known >= 0 ? known : inputs.push(value) - 1;
  };
  const firstInputs = producer.inputs.map(place);
  const secondInputs = consumer.inputs.map((value, index) => (index === at ? -1 : place(value)));
  const start = inputs.length;
  const result = start + first.program.length - 1;
  const program = [
    ...first.program.map((formula) =>
      shift(formula, (arg) => (arg < firstInputs.length ? (firstInputs[arg] ?? 0) : start + arg - firstInputs.length)),
    ),
    ...second.program.map((formula) =>
      shift(formula, (arg) => {
        if (arg === at) return result;
        return arg < secondInputs.length
          ? (secondInputs[arg] ?? 0)
          : start + first.program.length + arg - secondInputs.length;
      }),
    ),
  ];
  return { inputs, attrs: { program, shape: second.shape } };
}

function shift(formula: ElementwiseInstruction, to: (arg: number) => number): ElementwiseInstruction {
  return formula.fn === 'constant' ? formula : { fn: formula.fn, args: formula.args.map(to) };
}

/** The syntax tree of a template. */
export type Expression =
  | { readonly kind: 'const'; readonly value: string | number | boolean | null | { readonly float: number } }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list'; readonly items: readonly Expression[] }
  | { readonly kind: 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'condition'; readonly test: Expression; readonly yes: Expression; readonly no?: Expression }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'not' | 'neg' | 'pos'; readonly operand: Expression }
  | {
      readonly kind: 'compare';
      readonly first: Expression;
      readonly rest: readonly { readonly op: string; readonly operand: Expression }[];
    }
  | { readonly kind: 'binary'; readonly op: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'concat'; readonly parts: readonly Expression[] }
  | { readonly kind: 'attribute'; readonly object: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly object: Expression; readonly key: Expression }
  | {
      readonly kind: 'slice';
      readonly object: Expression;
      readonly bounds: readonly [Expression?, Expression?, Expression?];
    }
  | { readonly kind: 'call'; readonly callee: Expression; readonly args: Arguments }
  /** Without an operand: the filter of a filter block. */
  | { readonly kind: 'filter'; readonly name: string; readonly operand: Expression; readonly args: Arguments }
  | { readonly kind: 'test'; readonly name: string; readonly operand: Expression; readonly args: Arguments }
  /** What a block wrote, for filters of blocks. */
  | { readonly kind: 'written' };

export interface Arguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  readonly spread?: Expression;
  readonly spreadNamed?: Expression;
}

export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'namespace'; readonly name: string; readonly attribute: string }
  | { readonly kind: 'tuple'; readonly items: readonly Target[] };

export interface MacroSyntax {
  readonly name: string;
  readonly parameters: readonly (readonly [name: string, fallback: Expression | undefined])[];
  readonly body: readonly Statement[];
  /** Whether it speaks of `varargs`, `kwargs`, `caller`, which it then takes. */
  readonly takes: { readonly varargs: boolean; readonly kwargs: boolean; readonly caller: boolean };
}

export type Statement =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output'; readonly value: Expression }
  | {
      readonly kind: 'if';
      readonly branches: readonly (readonly [Expression, readonly Statement[]])[];
      readonly otherwise: readonly Statement[];
    }
  | {
      readonly kind: 'for';
      readonly target: Target;
      readonly items: Expression;
      readonly filter?: Expression;
      readonly isRecursive: boolean;
      readonly body: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: 'setBlock';
      readonly target: Target;
      readonly body: readonly Statement[];
      readonly value: Expression;
    }
  | {
      readonly kind: 'with';
      readonly bindings: readonly (readonly [Target, Expression])[];
      readonly body: readonly Statement[];
    }
  | { readonly kind: 'macro'; readonly macro: MacroSyntax }
  | { readonly kind: 'callBlock'; readonly call: Expression; readonly macro: MacroSyntax }
  | { readonly kind: 'filterBlock'; readonly value: Expression; readonly body: readonly Statement[] }
  | { readonly kind: 'generation'; readonly body: readonly Statement[] }
  | { readonly kind: 'break' }
  | { readonly kind: 'continue' };

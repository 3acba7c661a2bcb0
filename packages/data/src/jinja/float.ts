/** A float, which Python writes with its point. */
export class Float {
  constructor(readonly value: number) {}

  toJSON(): number {
    return this.value;
  }
}

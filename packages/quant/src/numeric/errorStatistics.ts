/** How far numbers moved by being quantized. */
export interface QuantizationError {
  /** Numbers compared. */
  readonly elements: number;
  /** mean |x̂ − x| */
  readonly meanAbsolute: number;
  /** max |x̂ − x| */
  readonly maxAbsolute: number;
  /** mean of |x̂ − x| / (|x| + 1e-8), as bitsandbytes' tests count it. */
  readonly meanRelative: number;
  /** √(mean (x̂ − x)²) */
  readonly rootMeanSquare: number;
}

/** Gathers the error of many tensors, piece by piece. */
export class ErrorStatistics {
  private elements = 0;
  private absolute = 0;
  private relative = 0;
  private squares = 0;
  private largest = 0;

  /** @param x what it was @param restored what became of it, element by element */
  add(x: Float32Array, restored: Float32Array): void {
    for (let i = 0; i < x.length; i++) {
      const value = x[i];
      const error = Math.abs(restored[i] - value);
      this.absolute += error;
      this.relative += error / (Math.abs(value) + 1e-8);
      this.squares += error * error;
      // A NaN stays: nothing is above it.
      if (!(error <= this.largest) && !Number.isNaN(this.largest)) this.largest = error;
    }
    this.elements += x.length;
  }

  /** Adds what another has gathered. */
  join(other: ErrorStatistics): void {
    this.elements += other.elements;
    this.absolute += other.absolute;
    this.relative += other.relative;
    this.squares += other.squares;
    this.largest = Math.max(this.largest, other.largest);
  }

  /** Zeros where nothing was compared. */
  result(): QuantizationError {
    const { elements, absolute, relative, squares, largest } = this;
    const count = Math.max(elements, 1);
    return {
      elements,
      meanAbsolute: absolute / count,
      maxAbsolute: largest,
      meanRelative: relative / count,
      rootMeanSquare: Math.sqrt(squares / count),
    };
  }
}

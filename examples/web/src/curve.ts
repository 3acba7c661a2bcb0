import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

/** The loss of each step, and a running mean, drawn as they come; as wide as its place on the page. */
export class LossCurve {
  private readonly data: [number[], number[], number[]] = [[], [], []];
  private plot: uPlot | undefined;
  private drawn = false;

  constructor(private readonly place: HTMLElement) {
    new ResizeObserver(() => this.plot?.setSize(this.size())).observe(place);
  }

  clear(): void {
    this.plot?.destroy();
    this.plot = undefined;
    for (const values of this.data) values.length = 0;
  }

  add(step: number, loss: number): void {
    const [steps, losses, means] = this.data;
    steps.push(step);
    losses.push(loss);
    means.push(0.8 * (means.at(-1) ?? loss) + 0.2 * loss);
    if (this.drawn) return;
    // Steps may come faster than frames.
    this.drawn = true;
    requestAnimationFrame(() => {
      this.drawn = false;
      this.draw();
    });
  }

  private draw(): void {
    if (this.data[0].length === 0) return;
    this.plot ??= new uPlot(this.options(), this.data, this.place);
    this.plot.setData(this.data);
  }

  private size(): { width: number; height: number } {
    const width = Math.max(200, this.place.clientWidth);
    return { width, height: Math.round(Math.min(300, Math.max(180, width * 0.5))) };
  }

  private options(): uPlot.Options {
    const style = getComputedStyle(this.place);
    const colour = (name: string): string => style.getPropertyValue(name);
    const axis = { stroke: colour('--faint'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
    return {
      ...this.size(),
      scales: { x: { time: false } },
      series: [
        { label: 'step' },
        { label: 'loss', stroke: colour('--soft'), width: 1, points: { show: false } },
        { label: 'running mean', stroke: colour('--accent'), width: 2, points: { show: false } },
      ],
      axes: [
        { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] },
        { ...axis, size: 44 },
      ],
      cursor: { drag: { x: false, y: false } },
    };
  }
}

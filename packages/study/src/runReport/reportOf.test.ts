import { printable } from '@lowrank/errors';
import { describe, expect, it } from 'vitest';
import { exampleMetrics, exampleRun, exampleSamples } from './exampleRun.js';
import { reportOf } from './reportOf.js';
import { curvesOf } from './runCurves.js';
import { duration } from './runFigures.js';

const curves = curvesOf(exampleMetrics(600));
const html = reportOf(exampleRun, curves, exampleSamples);

/** The charts of a page, by what they say they show. */
function chartsIn(page: string): Map<string, string[]> {
  const charts = new Map<string, string[]>();
  for (const [svg, label = ''] of page.matchAll(/<svg [^>]*aria-label="([^"]*)"[^]*?<\/svg>/g))
    charts.set(label, [...(charts.get(label) ?? []), svg]);
  return charts;
}

describe('report of a run', () => {
  it('draws a chart of each number that the run has, the loss for two widths', () => {
    const charts = chartsIn(html);
    expect([...charts.keys()]).toEqual([
      'Loss over 600 steps',
      'Reward margin over 600 steps',
      'Accuracy of rewards over 600 steps',
      'Learning rate over 600 steps',
      'Gradient norm before clipping over 600 steps, on a logarithmic axis',
      'Tokens a second over 600 steps',
      'Device memory over 600 steps',
    ]);
    const [broad = '', narrow = ''] = charts.get('Loss over 600 steps') ?? [];
    for (const loss of [broad, narrow]) {
      // Ten evaluations, and one dot in the legend for each of the two curves; the best one is told.
      expect(loss.match(/<circle/g)).toHaveLength(10 + 2);
      expect(loss).toContain('step 480: 0.913, the best');
      expect(loss.match(/>resumed</g)).toHaveLength(2);
    }
    expect(html).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('stays small whatever the length of the run', () => {
    const long = reportOf(exampleRun, curvesOf(exampleMetrics(20_000)), exampleSamples);
    expect(long.length).toBeLessThan(250_000);
    const [loss = ''] = chartsIn(long).get('Loss over 20,000 steps') ?? [];
    const points = [...loss.matchAll(/ d="([^"]*)"/g)].map(([, path = '']) => path.split(/[ML]/).length - 1);
    expect(Math.max(...points)).toBeLessThanOrEqual(801);
  });

  it('shows hostile texts as texts', () => {
    expect(html).not.toMatch(/<script|<img/);
    // No control character is left.
    expect(html === printable(html)).toBe(true);
    expect(html).toContain('<title>run &lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;</title>');
    expect(html).toContain('&lt;/p&gt;&lt;/article&gt;&lt;script&gt;document.title = &quot;taken&quot;');
    expect(html).toContain('\\u0000\\u001b[31m\\u202e');
    expect(html).toContain(`content="default-src 'none';`);
  });

  it('has figures, configuration and samples', () => {
    for (const [name, value] of [
      ['steps', '600 of 1,000'],
      ['tokens', curves.curve('tokens').sum.toLocaleString('en')],
      ['time of training', '1 h 6 min'],
      ['held-out loss', '0.937'],
      ['best held-out loss', '0.9124 at step 480'],
      ['trained parameters', '921,600'],
      ['file', '3.70 MB'],
    ])
      expect(html).toContain(`<dt>${name}</dt><dd>${value}</dd>`);
    expect(html).toContain('<th scope="row">targetModules</th><td>[&quot;q_proj&quot;,&quot;v_proj&quot;]</td>');
    const [given = '', byDefault = ''] = html.split('Settings that were not given');
    expect(given).toContain('>learningRate</th><td>0.0002<');
    expect(byDefault).toContain('>schedule</th><td>cosine<');
    expect(html).toContain('Stopped, and resumed from step 120 at 2026-11-30 06:50 UTC.');
    expect(html).toContain('Steps whose loss was no finite number, gaps of its curve: 1.');
    expect([...html.matchAll(/<section><h3>(\w+)</g)].map(([, name]) => name)).toEqual([
      'before',
      'after',
      'wanted',
      'after',
      'wanted',
    ]);
  });

  it('reloads itself while the run goes on, and is still then', () => {
    expect(html).toContain('<meta http-equiv="refresh" content="30">');
    expect(html).toContain('<progress max="1000" value="600"');
    const ended = { ...exampleRun, status: 'finished', stopped_by: 'early-stopping' } as const;
    const last = reportOf(ended, curves);
    expect(last).not.toMatch(/http-equiv="refresh"|<progress|Samples/);
    expect(last).toContain('>early stopping</text>');
    expect(last).toContain('after 600 steps: the held-out loss fell no further');
    const failed = reportOf({ ...exampleRun, status: 'failed', error: 'the device was lost <&>' }, curves);
    expect(failed).toContain('<p class="error">the device was lost &lt;&amp;&gt;</p>');
    expect(failed).toContain('at step 600 of 1,000; the same command goes on from its last checkpoint');
  });

  it('is a page before the first step, too, and after one', () => {
    const fresh = { ...exampleRun, best: null, resumes: [], seconds: 0 };
    expect(reportOf(fresh, curvesOf([]))).toContain('No step is recorded yet.');
    const one = reportOf(fresh, curvesOf([{ step: 1, loss: 2, grad_norm: 0, learning_rate: 0 }, { eval_loss: 3 }]));
    expect(chartsIn(one).size).toBe(3);
    expect(one).not.toMatch(/NaN|Infinity|undefined/);
  });
});

it('tells time', () => {
  expect([0, 9.94, 59.4, 61, 3725].map(duration)).toEqual(['0 s', '9.9 s', '59 s', '1 min 1 s', '1 h 2 min']);
});

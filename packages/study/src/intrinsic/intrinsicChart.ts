import { chartSvg } from '../charts/charts.js';
import { metricTitles } from '../tables/format.js';
import type { IntrinsicTable } from './intrinsicTable.js';

const [blue, vermilion, grey, ink] = ['#0072b2', '#d55e00', '#7a7a7a', '#33414e'];

/**
 * The metric over d on a logarithmic axis, with lines for the base model, full fine-tuning and 90% of it, and a mark at
 * d90.
 */
export async function intrinsicChart({
  rows,
  metrics: [metric = 'loss'],
  d90,
  interpolated,
}: IntrinsicTable): Promise<string> {
  const factor = metric === 'loss' ? 1 : 100;
  const of = (label: string): number | undefined => rows.find((row) => row.label === label)?.scores[metric]?.mean;
  const points = rows.flatMap(({ dimension, scores }) =>
    dimension === null || scores[metric] === undefined
      ? []
      : [{ dimension, score: scores[metric].mean * factor, deviation: (scores[metric].deviation ?? 0) * factor }],
  );
  const [base = NaN, full = NaN] = [of('base'), of('full')].map((value) =>
    value === undefined ? NaN : value * factor,
  );
  const goal = metric === 'loss' ? base - 0.9 * (base - full) : 0.9 * full;
  const dimensions = points.map(({ dimension }) => dimension);
  const [min, max] =
    dimensions.length === 0
      ? [1, 10]
      : [
          10 ** Math.floor(Math.log10(Math.min(...dimensions))),
          10 ** Math.ceil(Math.log10(Math.max(...dimensions) * 1.001)),
        ];
  const values = [
    base,
    full,
    goal,
    ...points.flatMap(({ score, deviation }) => [score - deviation, score + deviation]),
  ].filter(Number.isFinite);
  const margin = 0.06 * (Math.max(...values) - Math.min(...values));
  const text = { color: ink, fontSize: 12, fontFamily: 'sans-serif' };
  const level = (value: number, name: string, color: string, dash: 'solid' | 'dashed'): object[] =>
    Number.isFinite(value)
      ? [
          {
            yAxis: value,
            name,
            lineStyle: { color, type: dash, width: 1.5 },
            label: { formatter: name, position: 'insideEndTop', color, fontSize: 12 },
          },
        ]
      : [];
  const mark = interpolated ?? d90;
  return chartSvg(
    {
      textStyle: text,
      title: {
        text: `${metricTitles[metric]} in random subspaces of dimension d`,
        left: 60,
        top: 12,
        textStyle: { ...text, fontSize: 15, fontWeight: 'bold' },
      },
      grid: { left: 76, right: 36, top: 56, bottom: 60 },
      xAxis: {
        type: 'log',
        min,
        max,
        name: 'd, trained parameters (log scale)',
        nameLocation: 'middle',
        nameGap: 34,
        axisLabel: { ...text, formatter: (value: number) => value.toLocaleString('en') },
        splitLine: { lineStyle: { color: '#e8ecf0' } },
      },
      yAxis: {
        type: 'value',
        min: Math.min(...values) - margin,
        max: Math.max(...values) + margin,
        name: `${metricTitles[metric]} (${metric === 'loss' ? 'less' : 'more'} is better)`,
        nameLocation: 'middle',
        nameGap: 54,
        nameRotate: 90,
        axisLabel: {
          ...text,
          showMinLabel: false,
          showMaxLabel: false,
          formatter: (value: number) => String(Number(value.toPrecision(3))),
        },
        splitLine: { lineStyle: { color: '#e8ecf0' } },
      },
      series: [
        {
          type: 'line',
          symbol: 'circle',
          symbolSize: 9,
          lineStyle: { color: blue, width: 2 },
          itemStyle: { color: blue },
          data: points.map(({ dimension, score }) => [dimension, score]),
          markLine: {
            silent: true,
            symbol: 'none',
            data: [
              ...level(base, 'base model', grey, 'solid'),
              ...level(full, 'full fine-tuning', ink, 'solid'),
              ...level(goal, `90% of ${metric === 'loss' ? 'its improvement' : 'it'}`, vermilion, 'dashed'),
              ...(mark === null
                ? []
                : [
                    {
                      xAxis: mark,
                      lineStyle: { color: vermilion, type: 'dashed', width: 1.5 },
                      label: {
                        formatter:
                          `d90 ${interpolated === null ? '≤' : '≈'} ` +
                          `${Number(mark.toPrecision(2)).toLocaleString('en')}`,
                        position: 'insideEndBottom',
                        color: vermilion,
                        fontSize: 12,
                        rotate: 0,
                      },
                    },
                  ]),
            ],
          },
        },
        ...points
          .filter(({ deviation }) => deviation > 0)
          .map(({ dimension, score, deviation }) => ({
            type: 'line',
            showSymbol: false,
            silent: true,
            lineStyle: { color: blue, width: 1.5 },
            data: [
              [dimension, score - deviation],
              [dimension, score + deviation],
            ],
          })),
      ],
    },
    { width: 860, height: 480 },
  );
}

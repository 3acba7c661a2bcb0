import type { EChartsCoreOption } from 'echarts/core';

export interface ChartSize {
  readonly width: number;
  readonly height: number;
}

/** A chart as SVG text, drawn without a browser. The library is loaded only here. */
export async function chartSvg(option: EChartsCoreOption, { width, height }: ChartSize): Promise<string> {
  const [
    { init, use },
    { BarChart, CustomChart, LineChart, ScatterChart },
    { GridComponent, LegendComponent, MarkLineComponent, TitleComponent },
    { SVGRenderer },
  ] = await Promise.all([
    import('echarts/core'),
    import('echarts/charts'),
    import('echarts/components'),
    import('echarts/renderers'),
  ]);
  use([
    BarChart,
    CustomChart,
    LineChart,
    ScatterChart,
    GridComponent,
    LegendComponent,
    MarkLineComponent,
    TitleComponent,
    SVGRenderer,
  ]);
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, backgroundColor: '#ffffff', ...option });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

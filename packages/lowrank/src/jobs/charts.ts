import type { EChartsCoreOption } from 'echarts/core';

export interface ChartSize {
  readonly width: number;
  readonly height: number;
}

/** A chart as SVG text, drawn without a browser. */
export async function chartSvg(option: EChartsCoreOption, { width, height }: ChartSize): Promise<string> {
  const [{ init, use }, { LineChart, ScatterChart }, { GridComponent, LegendComponent, MarkLineComponent, TitleComponent }, { SVGRenderer }] = await Promise.all([import('echarts/core'), import('echarts/charts'), import('echarts/components'), import('echarts/renderers')]);
  use([LineChart, ScatterChart, GridComponent, LegendComponent, MarkLineComponent, TitleComponent, SVGRenderer]);
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption({ animation: false, backgroundColor: '#ffffff', ...option });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

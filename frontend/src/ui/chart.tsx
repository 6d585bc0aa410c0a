/** Lines over rounds, drawn as SVG in the page's own colours, with the same numbers as a table for who cannot see it.
 * Values are shown where one points at, and for the keyboard by a range that is focused with Tab. */
import { useEffect, useId, useRef, useState } from "preact/hooks";

export type Point = { x: number; y: number };
/** kind: which of the lines' colours and dashes it has (style: charts). */
export type Line = { name: string; points: Point[]; kind: number };

/** How many lines can be told apart. */
export const MOST_LINES = 8;

const H = 200;
const PAD = { left: 56, right: 20, top: 14, bottom: 32 };

/** Round steps for an axis: 1, 2 or 5 times a power of ten, about `wanted` of them, none smaller than `least`. */
export function ticks(low: number, high: number, wanted = 4, least = 0): number[] {
  const span = high - low || Math.abs(high) || 1;
  const rough = Math.max((0.75 * span) / wanted, least);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? rough;
  const first = Math.ceil(low / step - 1e-9) * step;
  const found: number[] = [];
  for (let value = first; value <= high + step * 1e-9 && found.length < 20; value += step)
    found.push(Number(value.toPrecision(12)));
  return found;
}

function range(lines: Line[], zero: boolean): [number, number] {
  const values = lines.flatMap((line) => line.points.map((point) => point.y)).filter(Number.isFinite);
  if (values.length === 0) return [0, 1];
  const low = Math.min(...values, ...(zero ? [0] : []));
  const high = Math.max(...values);
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

type Props = {
  title: string;
  xLabel: string;
  lines: Line[];
  /** How the numbers are written, on the axis and exactly. */
  axis: (value: number) => string;
  exact?: (value: number) => string;
  xRange: [number, number];
};

/** An element and its width, pixels: what is drawn in it keeps the size of its letters. */
function useWidth() {
  const element = useRef<HTMLElement>(null);
  const [width, setWidth] = useState(640);
  useEffect(() => {
    if (!element.current) return;
    const watch = new ResizeObserver(
      ([entry]) => entry && setWidth(Math.max(260, Math.round(entry.contentRect.width))),
    );
    watch.observe(element.current);
    return () => watch.disconnect();
  }, []);
  return [element, width] as const;
}

export function Chart({ title, xLabel, lines, axis, exact = axis, xRange }: Props) {
  const id = useId();
  const [figure, W] = useWidth();
  const [pointed, setPointed] = useState<number | null>(null);
  const drawn = lines.filter((line) => line.points.length > 0);
  const [low, high] = range(drawn, true);
  const [x0, x1] = xRange[0] === xRange[1] ? [xRange[0] - 0.5, xRange[1] + 0.5] : xRange;
  const px = (x: number) => PAD.left + ((x - x0) / (x1 - x0)) * (W - PAD.left - PAD.right);
  const py = (y: number) => H - PAD.bottom - ((y - low) / (high - low)) * (H - PAD.top - PAD.bottom);
  const xs = [...new Set(drawn.flatMap((line) => line.points.map((point) => point.x)))].sort((a, b) => a - b);
  const point = (event: PointerEvent) => {
    const box = (event.currentTarget as SVGElement).getBoundingClientRect();
    const x = x0 + ((((event.clientX - box.left) / box.width) * W - PAD.left) / (W - PAD.left - PAD.right)) * (x1 - x0);
    setPointed(xs.reduce((best, each) => (Math.abs(each - x) < Math.abs(best - x) ? each : best), xs[0] ?? 0));
  };
  const valueAt = (line: Line) => line.points.find(({ x }) => x === pointed)?.y;
  const where = (x: number) => `${xLabel} ${Number(x.toFixed(2))}`;
  const said = (x: number) =>
    [
      where(x),
      ...drawn.flatMap((line) => line.points.filter((p) => p.x === x).map((p) => `${line.name} ${exact(p.y)}`)),
    ].join(", ");
  const step = (event: Event) => setPointed(xs[Number((event.currentTarget as HTMLInputElement).value)] ?? null);
  const xTicks = ticks(Math.ceil(x0), Math.floor(x1), 8, 1);
  const path = (line: Line) =>
    line.points.map((p, at) => `${at ? "L" : "M"}${px(p.x).toFixed(1)} ${py(p.y).toFixed(1)}`).join("");
  return (
    <figure class="chart" ref={figure}>
      <figcaption id={id}>
        {title}
        <span class="legend">
          {drawn.map((line) => (
            <span key={line.name} class={`key line-${line.kind}`}>
              {line.name}
              {valueAt(line) !== undefined && <b class="number"> {exact(valueAt(line) ?? 0)}</b>}
            </span>
          ))}
          {pointed !== null && <span class="number">{where(pointed)}</span>}
        </span>
      </figcaption>
      <svg
        viewBox={`0 0 ${W} ${H}`}
        role="img"
        aria-labelledby={id}
        onPointerDown={point}
        onPointerMove={point}
        onPointerLeave={() => setPointed(null)}
      >
        <title>{title}</title>
        {ticks(low, high).map((value) => (
          <g key={`l${value}`}>
            <line class="grid" x1={PAD.left} x2={W - PAD.right} y1={py(value)} y2={py(value)} />
            <text x={PAD.left - 8} y={py(value) + 4} text-anchor="end">
              {axis(value)}
            </text>
          </g>
        ))}
        {pointed !== null && <line class="grid" x1={px(pointed)} x2={px(pointed)} y1={PAD.top} y2={H - PAD.bottom} />}
        {xTicks.map((value, at) => (
          <text key={`x${value}`} x={px(value)} y={H - 10} text-anchor="middle">
            {at === 0 ? `${xLabel} ${value}` : value}
          </text>
        ))}
        {drawn.map((line) => (
          <g key={line.name} class={`line-${line.kind}`}>
            <path d={path(line)} />
            {line.points.length < 40 && line.points.map((p) => <circle key={p.x} cx={px(p.x)} cy={py(p.y)} r={3} />)}
            {pointed !== null && valueAt(line) !== undefined && (
              <circle cx={px(pointed)} cy={py(valueAt(line) ?? 0)} r={4.5} />
            )}
          </g>
        ))}
      </svg>
      {xs.length > 1 && (
        <input
          type="range"
          class="visually-hidden"
          aria-label={`Values of “${title}” by ${xLabel}`}
          aria-valuetext={said(pointed ?? xs[xs.length - 1] ?? 0)}
          min={0}
          max={xs.length - 1}
          value={pointed === null ? xs.length - 1 : xs.indexOf(pointed)}
          onFocus={step}
          onInput={step}
          onBlur={() => setPointed(null)}
        />
      )}
      <div class="visually-hidden">
        <table>
          <caption>{title}</caption>
          <tbody>
            {drawn.map((line) => (
              <tr key={line.name}>
                <th scope="row">{line.name}</th>
                {line.points.slice(-50).map((p) => (
                  <td key={p.x}>{`${xLabel} ${p.x}: ${exact(p.y)}`}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

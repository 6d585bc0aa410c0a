/** Lines over rounds, drawn as SVG in the page's own colours, with the same numbers as a table for who cannot see it. */
import { useId } from "preact/hooks";

export type Point = { x: number; y: number };
export type Line = { name: string; points: Point[]; kind: 1 | 2; axis?: "left" | "right" };

const W = 640;
const H = 200;
const PAD = { left: 56, right: 56, top: 14, bottom: 32 };

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
  /** How the numbers of the left and right axis are written. */
  left: (value: number) => string;
  right?: (value: number) => string;
  xRange: [number, number];
};

export function Chart({ title, xLabel, lines, left, right, xRange }: Props) {
  const id = useId();
  const drawn = lines.filter((line) => line.points.length > 0);
  const leftLines = drawn.filter((line) => line.axis !== "right");
  const rightLines = drawn.filter((line) => line.axis === "right");
  const yLeft = range(leftLines, true);
  const yRight = range(rightLines, true);
  const [x0, x1] = xRange[0] === xRange[1] ? [xRange[0] - 0.5, xRange[1] + 0.5] : xRange;
  const px = (x: number) => PAD.left + ((x - x0) / (x1 - x0)) * (W - PAD.left - PAD.right);
  const scale =
    ([low, high]: [number, number]) =>
    (y: number) =>
      H - PAD.bottom - ((y - low) / (high - low)) * (H - PAD.top - PAD.bottom);
  const pyLeft = scale(yLeft);
  const pyRight = scale(yRight);
  const xTicks = ticks(Math.ceil(x0), Math.floor(x1), 8, 1);
  const path = (line: Line) => {
    const y = line.axis === "right" ? pyRight : pyLeft;
    return line.points.map((p, at) => `${at ? "L" : "M"}${px(p.x).toFixed(1)} ${y(p.y).toFixed(1)}`).join("");
  };
  return (
    <figure class="chart">
      <figcaption id={id}>
        {title}
        <span class="legend">
          {drawn.map((line) => (
            <span key={line.name} class={`key line-${line.kind}`}>
              {line.name}
            </span>
          ))}
        </span>
      </figcaption>
      <svg viewBox={`0 0 ${W} ${H}`} role="img" aria-labelledby={id}>
        <title>{title}</title>
        {ticks(...yLeft).map((value) => (
          <g key={`l${value}`}>
            <line class="grid" x1={PAD.left} x2={W - PAD.right} y1={pyLeft(value)} y2={pyLeft(value)} />
            <text x={PAD.left - 8} y={pyLeft(value) + 4} text-anchor="end">
              {left(value)}
            </text>
          </g>
        ))}
        {right &&
          rightLines.length > 0 &&
          ticks(...yRight).map((value) => (
            <text key={`r${value}`} x={W - PAD.right + 8} y={pyRight(value) + 4}>
              {right(value)}
            </text>
          ))}
        {xTicks.map((value, at) => (
          <text key={`x${value}`} x={px(value)} y={H - 10} text-anchor="middle">
            {at === 0 ? `${xLabel} ${value}` : value}
          </text>
        ))}
        {drawn.map((line) => (
          <g key={line.name} class={`line-${line.kind}`}>
            <path d={path(line)} />
            {line.points.length < 40 &&
              line.points.map((p) => (
                <circle key={p.x} cx={px(p.x)} cy={(line.axis === "right" ? pyRight : pyLeft)(p.y)} r={3} />
              ))}
          </g>
        ))}
      </svg>
      <div class="visually-hidden">
        <table>
          <caption>{title}</caption>
          <tbody>
            {drawn.map((line) => (
              <tr key={line.name}>
                <th scope="row">{line.name}</th>
                {line.points.slice(-50).map((p) => (
                  <td key={p.x}>{`${xLabel} ${p.x}: ${(line.axis === "right" && right ? right : left)(p.y)}`}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </figure>
  );
}

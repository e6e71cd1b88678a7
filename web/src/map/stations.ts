// Stations, alone or many as one: a ring that shows how many chargers are free in the chosen window.
import Supercluster from 'supercluster';
import type { Station } from '../state/live.svelte';
import type { Colours } from './colours';
import { isVisible, mercatorX, mercatorY, type View } from './mercator';

/** From this zoom on every station stands for itself. */
const ZOOM_ALL = 9;
const TURN = 2 * Math.PI;

export interface Tally {
  /** Free in the whole window. */
  free: number;
  /** Taken in a part of it. */
  taken: number;
  /** A car charges there now, and the window is taken. */
  using: number;
  /** Out of service. */
  out: number;
  /** Nobody who knows says how it is. */
  unknown: number;
}

/** Something on the map that can be clicked. */
export interface Target {
  x: number;
  y: number;
  radius: number;
  station?: Station;
  /** Of a cluster: where to go to see it come apart. */
  opens?: { latitude: number; longitude: number; zoom: number };
  vehicle?: string;
}

interface Properties {
  station: Station;
  tally: Tally;
}

export function tallyOf(station: Station): Tally {
  const tally = { free: 0, taken: 0, using: 0, out: 0, unknown: 0 };
  for (const evse of station.evses) {
    if (station.isSilent) tally.unknown++;
    else if (evse.state === 'inoperante') tally.out++;
    else if (evse.isFree) tally.free++;
    else if (evse.state === 'em_uso') tally.using++;
    else tally.taken++;
  }
  return tally;
}

export class StationIndex {
  #index = new Supercluster<Properties, Tally>().load([]);
  targets: Target[] = [];

  load(stations: Station[]): void {
    this.#index = new Supercluster<Properties, Tally>({
      radius: 46,
      extent: 256,
      maxZoom: ZOOM_ALL - 1,
      map: ({ tally }) => ({ ...tally }),
      reduce: (sum, tally) => {
        sum.free += tally.free;
        sum.taken += tally.taken;
        sum.using += tally.using;
        sum.out += tally.out;
        sum.unknown += tally.unknown;
      },
    }).load(
      stations.map((station) => ({
        type: 'Feature',
        geometry: { type: 'Point', coordinates: [station.longitude, station.latitude] },
        properties: { station, tally: tallyOf(station) },
      })),
    );
  }

  paint(context: CanvasRenderingContext2D, view: View, colours: Colours, selected?: string): void {
    this.targets = [];
    for (const feature of this.#index.getClusters(bounds(view), Math.floor(view.zoom))) {
      const [longitude = 0, latitude = 0] = feature.geometry.coordinates;
      const x = mercatorX(longitude) * view.scale - view.x;
      const y = mercatorY(latitude) * view.scale - view.y;
      if (!isVisible(view, x, y)) continue;
      const properties = feature.properties;
      if ('cluster' in properties) {
        const radius = Math.min(26, 11 + 2.6 * Math.log2(properties.point_count));
        ring(context, x, y, radius, properties, colours);
        count(context, x, y, properties.point_count, colours);
        const zoom = this.#index.getClusterExpansionZoom(properties.cluster_id);
        this.targets.push({ x, y, radius: radius + 4, opens: { latitude, longitude, zoom } });
      } else {
        const { station, tally } = properties;
        const radius = view.zoom >= 7 ? 9 : 7;
        if (station.key === selected) halo(context, x, y, radius + 5, colours);
        ring(context, x, y, radius, tally, colours);
        bolt(context, x, y, radius * 0.95, tally.free > 0 ? colours.free : colours['ink-soft']);
        this.targets.push({ x, y, radius: radius + 5, station });
      }
    }
  }
}

function ring(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  tally: Tally,
  colours: Colours,
): void {
  const width = Math.max(3, radius * 0.28);
  context.beginPath();
  context.arc(x, y, radius + 1.5, 0, TURN);
  context.fillStyle = colours.surface;
  context.fill();
  const total = tally.free + tally.taken + tally.using + tally.out + tally.unknown || 1;
  let from = -Math.PI / 2;
  context.lineWidth = width;
  for (const [part, colour] of [
    [tally.free, colours.free],
    [tally.using, colours.using],
    [tally.taken, colours.busy],
    [tally.out, colours.out],
    [tally.unknown, colours.border],
  ] as const) {
    if (part === 0) continue;
    const to = from + (part / total) * TURN;
    context.beginPath();
    context.arc(x, y, radius - width / 2, from, to);
    context.strokeStyle = colour;
    context.stroke();
    from = to;
  }
}

function count(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  many: number,
  colours: Colours,
): void {
  context.font = '600 11px system-ui, sans-serif';
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillStyle = colours.ink;
  context.fillText(many < 1000 ? String(many) : `${Math.round(many / 100) / 10}k`, x, y + 0.5);
  context.textAlign = 'start';
}

function halo(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  radius: number,
  colours: Colours,
): void {
  context.beginPath();
  context.arc(x, y, radius, 0, TURN);
  context.strokeStyle = colours.accent;
  context.lineWidth = 3;
  context.stroke();
}

function bolt(context: CanvasRenderingContext2D, x: number, y: number, size: number, colour: string): void {
  const s = size / 10;
  context.beginPath();
  context.moveTo(x + 1 * s, y - 6 * s);
  context.lineTo(x - 3.6 * s, y + 1 * s);
  context.lineTo(x - 0.4 * s, y + 1 * s);
  context.lineTo(x - 1 * s, y + 6 * s);
  context.lineTo(x + 3.6 * s, y - 1.2 * s);
  context.lineTo(x + 0.4 * s, y - 1.2 * s);
  context.closePath();
  context.fillStyle = colour;
  context.fill();
}

function bounds(view: View): [number, number, number, number] {
  const longitude = (x: number) => ((x + view.x) / view.scale - 0.5) * 360;
  const latitude = (y: number) => {
    const turned = Math.PI * (1 - (2 * (y + view.y)) / view.scale);
    return (Math.atan(Math.sinh(turned)) * 180) / Math.PI;
  };
  return [
    longitude(-view.margin.x),
    latitude(view.height + view.margin.y),
    longitude(view.width + view.margin.x),
    latitude(-view.margin.y),
  ];
}

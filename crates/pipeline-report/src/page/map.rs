//! The map: the positions of queries and images in the shared space.

use maud::{Markup, html};

use super::words::count;
use crate::chart::scatter;
use pipeline_eval::analysis::{Map, Point};

pub(super) fn draw(map: &Map) -> Markup {
    let axis = |number: usize| format!("component {number} ({:.0}% of the variance)", map.variance[number - 1] * 100.0);
    html! {
        p.sub {
            "The first two principal components of " (count(map.queries.len() as u64)) " queries and "
            (count(map.images.len() as u64)) " images in the shared space, taken together. Two clouds apart from each "
            "other mean that the modalities differ, whatever they show."
        }
        figure.wide {
            p.legend { span { i.c1 {} "queries" } span { i.c2 {} "images" } }
            @let clouds = [("c2", points(&map.images)), ("c1", points(&map.queries))];
            (scatter("queries and images in the plane", &axis(1), &axis(2), &clouds))
        }
    }
}

fn points(points: &[Point]) -> Vec<([f64; 2], &str)> {
    points.iter().map(|point| (point.at, point.label.as_str())).collect()
}
